"""How forwards are run: batches, threads, packed weights."""
