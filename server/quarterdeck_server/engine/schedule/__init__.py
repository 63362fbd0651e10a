"""Schedules: rules that create tasks at instants."""
