"""Training a language model on the text of a store."""
