"""The command that opens the console."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from tests.console.conftest import Open
from tests.console.fleet import Fleet

from quarterdeck_console import cli, launch
from quarterdeck_console.keymap import KeymapError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the console was started with, instead of starting it."""
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr(
        launch, "start", lambda address, namespace: calls.append((address, namespace))
    )
    return calls


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, ("127.0.0.1:7400", "default")),
        ([], {"QUARTERDECK_SERVER": "fleet:1"}, ("fleet:1", "default")),
        (["--server", "other:2"], {"QUARTERDECK_SERVER": "fleet:1"}, ("other:2", "default")),
        (["--namespace", "team"], {}, ("127.0.0.1:7400", "team")),
    ],
)
def test_options_win_over_the_environment(
    started: list[tuple[str, str]],
    arguments: list[str],
    environment: dict[str, str],
    expected: tuple[str, str],
) -> None:
    env = {"QUARTERDECK_SERVER": None, "QUARTERDECK_NAMESPACE": None} | environment
    result = CliRunner().invoke(cli.console, arguments, env=env)
    assert result.exit_code == 0, result.output
    assert started == [expected]


def test_a_wrong_keymap_is_one_line_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str, namespace: str) -> None:
        raise KeymapError("keymap: no action 'x'")

    monkeypatch.setattr(launch, "start", refuse)
    result = CliRunner().invoke(cli.console, [])
    assert result.exit_code == 1
    assert result.output == "Error: keymap: no action 'x'\n"


async def test_every_request_names_the_tenant(console: Open, fleet: Fleet) -> None:
    fleet.task("broken", "FAILED")
    async with console() as driver:
        driver.app.link.namespace = "team"
        await driver.press("2")
        await driver.shows("0000003r", "broken")
        await driver.press("r", "enter")
        await driver.shows("< > moves")
        await driver.until(lambda: fleet.calls["ReadLogs"])
    tenants = {
        type(request).__name__: request.namespace
        for request in fleet.requests
        if "namespace" in request.DESCRIPTOR.fields_by_name
    }
    assert {"RetryTasksRequest", "GetTaskRequest", "ReadLogsRequest", "WatchRequest"} <= set(
        tenants
    )
    assert set(tenants.values()) == {"team"}
