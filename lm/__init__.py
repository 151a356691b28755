"""Language models that read the datastore."""
