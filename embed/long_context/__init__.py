"""Reading texts longer than a model was trained on."""
