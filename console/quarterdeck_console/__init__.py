"""The Quarterdeck console: a fleet in one terminal."""
