"""Launchers: what starts and stops compute."""
