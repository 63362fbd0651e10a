"""`python -m quarterdeck.cli`, for places that know an interpreter but no `PATH`."""

from __future__ import annotations

from quarterdeck.cli import main

main()
