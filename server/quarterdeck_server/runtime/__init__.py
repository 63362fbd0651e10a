"""What runs in the server: committer, dispatcher, timers, watch hub, pruner."""
