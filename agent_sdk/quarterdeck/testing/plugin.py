"""The pytest plugin of Quarterdeck."""
