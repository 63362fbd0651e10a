"""How the console talks to its server: one channel, long streams, acts."""
