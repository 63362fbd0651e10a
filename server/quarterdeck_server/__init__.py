"""The Quarterdeck server."""
