"""Folders of published and converted models: what their files say, and their tokenizers and weights read as data."""
