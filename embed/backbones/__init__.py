"""The transformers that embed: their families, configurations and weights, and how far their tokens see."""
