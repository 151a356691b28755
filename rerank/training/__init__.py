"""Training a listwise reranker on lists that a store gives by itself."""
