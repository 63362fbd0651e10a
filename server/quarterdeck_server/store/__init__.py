"""The store: one interface, one conformance suite."""
