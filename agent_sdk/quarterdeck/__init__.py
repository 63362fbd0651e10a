"""The Quarterdeck SDK: write agents, and submit work to a fleet."""
