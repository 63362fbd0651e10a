from __future__ import annotations

import re
from pathlib import Path

import pytest

from quarterdeck_server.config import (
    PoolSettings,
    Settings,
    SettingsError,
    load_settings,
    parse_duration,
)

POOL = '[[pools]]\nname = "a"\nargv = ["agent"]\n'


def load(
    tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: object
) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(toml)
    return load_settings(path, flags, environ or {})


def problems(
    tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: object
) -> list[tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, toml, environ, **flags)
    return caught.value.problems


def test_defaults_need_no_source() -> None:
    settings = load_settings(None, {}, {})
    assert settings == Settings()
    assert settings.listen == "127.0.0.1:7400"
    assert settings.data_dir == Path(".quarterdeck")
    assert (settings.lease_duration, settings.heartbeat_interval) == (30, 10)
    assert settings.pools == ()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    toml = "lease_duration = 40\ndrain_grace = 40\nmax_payload_bytes = 40\n"
    environ = {"QUARTERDECK_LEASE_DURATION": "50", "QUARTERDECK_DRAIN_GRACE": "50s"}
    settings = load(tmp_path, toml, environ, lease_duration=60, log_format=None)
    assert settings.lease_duration == 60
    assert settings.drain_grace == 50
    assert settings.max_payload_bytes == 40
    assert settings.log_format == "text"


def test_file_declares_pools(tmp_path: Path) -> None:
    (pool,) = load(
        tmp_path, POOL + 'idle_timeout = "5m"\nenv = {A = "1"}\nmin = 1\nmax = 3\n'
    ).pools
    assert pool.argv == ("agent",)
    assert (pool.queue, pool.namespace, pool.launcher) == ("default", "default", "process")
    assert (pool.min, pool.max, pool.slots) == (1, 3, 1)
    assert (pool.idle_timeout, pool.start_timeout) == (300, 60)
    assert pool.env == {"A": "1"}


def test_environment_declares_pools_as_json(tmp_path: Path) -> None:
    environ = {"QUARTERDECK_POOLS": '[{"name": "b", "argv": ["x"]}]'}
    assert [pool.name for pool in load(tmp_path, POOL, environ).pools] == ["b"]
    assert problems(tmp_path, environ={"QUARTERDECK_POOLS": "{"}) == [
        ("pools", "expected a JSON list (from QUARTERDECK_POOLS)")
    ]


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.listen = "127.0.0.1:1"


@pytest.mark.parametrize(
    ("toml", "field", "message"),
    [
        (POOL + "max = 'x'", "pools[0].max", "expected an integer ≥ 1, got 'x'"),
        (POOL + "max = 0", "pools[0].max", "expected an integer ≥ 1, got 0"),
        (POOL + "slots = true", "pools[0].slots", "expected an integer ≥ 1, got True"),
        (POOL + "min = 4\nmax = 3", "pools[0].max", "expected an integer ≥ min (4), got 3"),
        (POOL + "min = 2", "pools[0].max", "expected an integer ≥ min (2), got 1"),
        (POOL + "launcher = 'ssh'", "pools[0].launcher", "expected 'process', got 'ssh'"),
        (POOL + "env = {A = 1}", "pools[0].env.A", "expected a table of texts, got 1"),
        (POOL + "maxx = 3", "pools[0].maxx", "unknown setting, did you mean 'max'?"),
        (POOL + POOL, "pools", "expected unique names, got 'a' twice"),
        ("pools = [3]", "pools[0]", "expected a table, got 3"),
        ("pools = 3", "pools", "expected a list of tables, got 3"),
        ("listen = '0.0.0.0:7400'", "listen", "allow_insecure_remote"),
        ("listen = 'example.org:7400'", "listen", "allow_insecure_remote"),
        ("listen = '127.0.0.1'", "listen", "expected HOST:PORT, got '127.0.0.1'"),
        ("listen = '127.0.0.1:70000'", "listen", "expected HOST:PORT"),
        ("listen = 5", "listen", "expected HOST:PORT, got 5"),
        ("lease_duration = 0.5", "lease_duration", "expected a duration ≥ 1 s"),
        ("lease_duration = inf", "lease_duration", "expected a duration ≥ 1 s"),
        (f"lease_duration = {10**400}", "lease_duration", "expected a duration ≥ 1 s"),
        ("drain_grace = '5 parsecs'", "drain_grace", "got '5 parsecs'"),
        ("drain_grace = -1", "drain_grace", "expected a duration ≥ 0 s"),
        ("heartbeat_interval = 11", "heartbeat_interval", "expected a duration ≤ 10 s"),
        ("lease_duration = 4\nheartbeat_interval = 3", "heartbeat_interval", "≤ 2 s"),
        ("log_format = 'xml'", "log_format", "expected 'text' or 'json', got 'xml'"),
        ("listne = 'x'", "listne", "unknown setting, did you mean 'listen'?"),
        ("zzz = 'x'", "zzz", "unknown setting"),
    ],
)
def test_bad_value_names_its_field(tmp_path: Path, toml: str, field: str, message: str) -> None:
    ((got_field, got_message),) = problems(tmp_path, toml)
    assert got_field == field
    assert message in got_message


def test_missing_field_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "[[pools]]\nmax = 2\n")
    assert [field for field, _ in found] == ["pools[0].name", "pools[0].argv"]
    assert found[1][1] == "expected a list of at least one text, the program first, got nothing"


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, 'lease_duration = "x"\nlisten = 1\n', bogus=1)
    assert [field for field, _ in found] == ["listen", "lease_duration", "bogus"]


def test_problem_from_the_environment_names_the_variable(tmp_path: Path) -> None:
    environ = {"QUARTERDECK_LOG_LEVEL": "loud"}
    ((field, message),) = problems(tmp_path, environ=environ)
    assert field == "log_level"
    assert message.endswith("got 'loud' (from QUARTERDECK_LOG_LEVEL)")
    ((_, message),) = problems(tmp_path, environ=environ, log_level="quiet")
    assert message.endswith("got 'quiet'")


def test_mistyped_variable_is_refused_and_foreign_ones_are_not(tmp_path: Path) -> None:
    assert problems(tmp_path, environ={"QUARTERDECK_LISTENN": "x"}) == [
        ("QUARTERDECK_LISTENN", "unknown variable, did you mean QUARTERDECK_LISTEN?")
    ]
    foreign = {"QUARTERDECK_POOL": "x", "QUARTERDECK_SERVER": "y", "QUARTERDECK_COLOUR": "z"}
    assert load(tmp_path, environ=foreign) == Settings()


@pytest.mark.parametrize("listen", ["localhost:0", "[::1]:7400", "127.9.9.9:1"])
def test_loopback_hosts_are_taken(tmp_path: Path, listen: str) -> None:
    assert load(tmp_path, listen=listen).listen == listen


def test_remote_host_is_taken_when_allowed(tmp_path: Path) -> None:
    settings = load(tmp_path, "allow_insecure_remote = true", listen="0.0.0.0:7400")
    assert settings.listen == "0.0.0.0:7400"


def test_heartbeat_interval_follows_the_lease(tmp_path: Path) -> None:
    assert load(tmp_path, "lease_duration = 3").heartbeat_interval == 1
    assert load(tmp_path, "lease_duration = 300").heartbeat_interval == 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5), (0.25, 0.25), ("7", 7), ("30s", 30), ("250ms", 0.25), ("1h30m", 5400), ("7d", 604800)],
)
def test_durations(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["", "s", "5 s", "5x", "1h30", True, None, [5]])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_duration(value)


def test_long_values_are_cut_in_messages(tmp_path: Path) -> None:
    ((_, message),) = problems(tmp_path, log_format="x" * 10_000)
    assert len(message) < 200


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a = [", "is not TOML"), (b"\xff", "is not UTF-8"), (None, "cannot read")],
)
def test_unusable_file_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "settings.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {}, {})
    ((field, text),) = caught.value.problems
    assert field == "config"
    assert message in text
    assert str(path) in text


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    server, pools = page.split("\n## Pools\n")
    for text, model in ((server, Settings), (pools, PoolSettings)):
        documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
        assert documented == set(model.model_fields)
