"""Composition of the rooms, and its two faces: the gRPC server and the embedded handle."""
