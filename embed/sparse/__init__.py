"""Learned sparse vectors over a vocabulary."""
