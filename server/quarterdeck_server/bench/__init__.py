"""The bench: what a server does under load, measured from outside of its process.

`cli` takes the command, `scenarios` says what is measured, `lab` starts and ends what a scenario needs, `loads` and
`swarm` are what the load processes run.
"""

from __future__ import annotations
