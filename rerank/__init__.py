"""Listwise and pointwise rerankers."""
