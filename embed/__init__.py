"""Embedders: texts to vectors. `lodex.embed.registry.load_encoder` opens one; nothing here is imported before that."""
