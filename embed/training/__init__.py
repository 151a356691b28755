"""Training small decoders on CPU cores or an accelerator: the model, its optimiser and the loop."""
