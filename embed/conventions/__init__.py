"""How each model wants its texts: prompts, pooling, special tokens, as data."""
