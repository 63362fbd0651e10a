"""`python -m quarterdeck_server`: the server alone."""

from __future__ import annotations

from quarterdeck_server.cli import server

if __name__ == "__main__":
    server()
