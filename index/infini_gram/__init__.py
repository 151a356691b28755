"""Folders of infini-gram as they are: its engine's methods and fields, over any number of shards."""
