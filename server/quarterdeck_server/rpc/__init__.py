"""The gRPC services: validate, call, convert."""
