"""The demo: one command that puts a fleet to work on the files of a repository."""

from __future__ import annotations
