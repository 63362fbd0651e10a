"""The flow of ready tasks to agents: lanes and turns, limits and holds, and who is given what."""
