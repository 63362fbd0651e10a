"""Help for the tests of agents."""
