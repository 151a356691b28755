"""What answers the RPCs: one class for each service, coroutines over messages that know nothing of gRPC."""
