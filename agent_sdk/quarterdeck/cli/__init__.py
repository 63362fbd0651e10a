"""The command line's root group and its client commands."""
