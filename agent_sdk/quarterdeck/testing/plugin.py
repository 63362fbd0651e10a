"""The pytest plugin, loaded by pytest itself wherever Quarterdeck is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from quarterdeck.testing import Server


@pytest.fixture
def quarterdeck_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server on a free port, with a data directory of its own.

    It has `address` and `client`. Needs the extra `quarterdeck[server]`.
    """
    # Here, so that a test session without agents does not import grpc.
    from quarterdeck.testing import start_server

    with start_server(tmp_path_factory.mktemp("quarterdeck")) as server:
        yield server
