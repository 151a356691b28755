"""The datastore, every index over it, and the job engine."""
