"""The server's settings: read from every source once, validated once, frozen from then on.

Sources, the first that names a field wins: command-line flags, `QUARTERDECK_*` environment
variables, the TOML file, the defaults below. `docs/configuration.md` documents every field.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

ENVIRONMENT_PREFIX = "QUARTERDECK_"

# Read by clients, or set by a pool for the agents it starts: never settings of the server.
_FOREIGN_VARIABLES = frozenset(
    {"CONFIG", "INSTANCE_ID", "NAMESPACE", "POOL", "QUEUE", "SERVER", "SLOTS"}
)

_DAY = 86_400.0
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NAME = re.compile(r"[A-Za-z0-9_\-.:/]{1,256}")


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a field takes, in the words of its error message."""

    text: str


def parse_duration(value: object) -> float:
    """Seconds from a number of seconds, or from text such as `30`, `30s`, `250ms` or `1h30m`.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a duration")
    if not isinstance(value, str):
        # Clipped first: an integer too large for a float would overflow.
        return float(max(-1, min(value, 2**63)))
    text = value.strip()
    parts = _DURATION_PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    return float(text)


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a boolean is not a number")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("not a name")
    return value


# The wire carries durations and counts in fields of limited width; no sound setting comes near.
_LONGEST = 36_500 * _DAY
_LARGEST = 2**31 - 1

_Duration = Annotated[
    float, BeforeValidator(parse_duration), Field(allow_inf_nan=False, le=_LONGEST)
]
_Seconds = Annotated[_Duration, Field(ge=0), _Expected("a duration ≥ 0 s and ≤ 36500 d")]
_PositiveSeconds = Annotated[_Duration, Field(gt=0), _Expected("a duration > 0 s and ≤ 36500 d")]
_SecondOrMore = Annotated[_Duration, Field(ge=1), _Expected("a duration ≥ 1 s and ≤ 36500 d")]
_Integer = Annotated[int, BeforeValidator(_no_bool), Field(le=_LARGEST)]
_Natural = Annotated[_Integer, Field(ge=0), _Expected("an integer ≥ 0")]
_Positive = Annotated[_Integer, Field(ge=1), _Expected("an integer ≥ 1")]
_Name = Annotated[
    str,
    AfterValidator(_name),
    _Expected("a name of at most 256 characters of letters, digits and _ - . : /"),
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PoolSettings(_Frozen):
    """A rule that starts and stops agents so that a queue has some. Durations are seconds."""

    name: _Name
    queue: _Name = "default"
    namespace: _Name = "default"
    min: _Natural = 0
    max: Annotated[_Positive, Field(validate_default=True)] = 1
    slots: _Positive = 1
    idle_timeout: _Seconds = 60.0
    start_timeout: _PositiveSeconds = 60.0
    launcher: Annotated[Literal["process"], _Expected("'process'")] = "process"
    argv: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        Field(min_length=1),
        _Expected("a list of at least one text, the program first"),
    ]
    env: Annotated[Mapping[str, str], _Expected("a table of texts")] = Field(default_factory=dict)
    cwd: Annotated[Path | None, _Expected("a path")] = None

    @field_validator("max")
    @classmethod
    def _not_below_min(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("min", 0)
        if value < least:
            raise _refusal(f"an integer ≥ min ({least})", value)
        return value


class Settings(_Frozen):
    """Everything that the server can be told. Durations are seconds; sizes are bytes."""

    # Before `listen`, whose validation looks at it.
    allow_insecure_remote: Annotated[bool, _Expected("true or false")] = False
    listen: Annotated[str, _Expected("HOST:PORT"), Field(validate_default=True)] = "127.0.0.1:7400"
    data_dir: Annotated[Path, _Expected("a path")] = Path(".quarterdeck")
    log_format: Annotated[Literal["text", "json"], _Expected("'text' or 'json'")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
        _Expected("'debug', 'info', 'warning' or 'error'"),
    ] = "info"
    lease_duration: _SecondOrMore = 30.0
    heartbeat_interval: Annotated[_PositiveSeconds, Field(validate_default=True)] = Field(
        default_factory=lambda earlier: min(earlier.get("lease_duration", 30.0) / 3, 10.0)
    )
    max_payload_bytes: _Positive = 1024 * 1024
    retention_finished: _Seconds = 7 * _DAY
    retention_failed: _Seconds = 30 * _DAY
    change_log_age: _Seconds = _DAY
    change_log_entries: _Positive = 1_000_000
    audit_age: _Seconds = 90 * _DAY
    drain_grace: _Seconds = 10.0
    pools: Annotated[tuple[PoolSettings, ...], _Expected("a list of tables")] = ()

    @field_validator("listen")
    @classmethod
    def _loopback_unless_allowed(cls, value: str, info: ValidationInfo) -> str:
        host, separator, port = value.rpartition(":")
        if not (separator and host and port.isascii() and port.isdecimal() and int(port) < 65536):
            raise _refusal("HOST:PORT", value)
        if not _is_loopback(host) and not info.data.get("allow_insecure_remote", False):
            raise _refusal("a loopback host, or allow_insecure_remote = true", value)
        return value

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("heartbeat_interval")
    @classmethod
    def _within_lease(cls, value: float, info: ValidationInfo) -> float:
        lease = info.data.get("lease_duration")
        limit = 10.0 if lease is None else min(10.0, lease / 2)
        # Two heartbeats must fit in a lease, so that one lost call loses no lease.
        if value > limit:
            raise _refusal(f"a duration ≤ {limit:g} s (at most 10 s and half a lease)", value)
        return value

    @field_validator("pools")
    @classmethod
    def _unique_names(cls, value: tuple[PoolSettings, ...]) -> tuple[PoolSettings, ...]:
        seen: set[str] = set()
        for pool in value:
            if pool.name in seen:
                raise PydanticCustomError(
                    "refused", "expected unique names, got {name} twice", {"name": repr(pool.name)}
                )
            seen.add(pool.name)
        return value


class SettingsError(Exception):
    """Some settings are not usable.

    Attributes:
        problems: One (field, message) for each; the field is a path such as `pools[0].max`.
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{field}: {message}" for field, message in problems))
        self.problems = problems


def load_settings(
    config_file: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str]
) -> Settings:
    """Settings from every source.

    Args:
        config_file: A TOML file; None for none.
        overrides: Values of flags by field name; None means that the flag was not given.
        environ: The environment. `QUARTERDECK_LEASE_DURATION` sets `lease_duration`; `pools` is
            given as a JSON list. Other variables with the prefix are ignored, unless one is
            so close to the name of a setting that it must be a slip.

    Raises:
        SettingsError: with every problem found, not only the first.
    """
    values = _read_file(config_file) if config_file is not None else {}
    from_environment, problems = _read_environment(environ)
    values |= from_environment
    values |= {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        flags = {name for name, value in overrides.items() if value is not None}
        problems += _explain(error, from_environment.keys() - flags)
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        problem = f"cannot read {path}: {error.strerror}"
    except UnicodeDecodeError:
        problem = f"{path} is not UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = f"{path} is not TOML: {error}"
    raise SettingsError([("config", problem)])


def _read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for variable in sorted(environ):
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name == variable or name in _FOREIGN_VARIABLES:
            continue
        field = name.lower()
        if field == "pools":
            try:
                values[field] = TypeAdapter(list[Any]).validate_json(environ[variable])
            except ValidationError:
                problems.append((field, f"expected a JSON list (from {variable})"))
        elif field in Settings.model_fields:
            values[field] = environ[variable]
        elif near := difflib.get_close_matches(field, Settings.model_fields, 1, 0.85):
            meant = ENVIRONMENT_PREFIX + near[0].upper()
            problems.append((variable, f"unknown variable, did you mean {meant}?"))
    return values, problems


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _refusal(expected: str, value: object) -> PydanticCustomError:
    return PydanticCustomError(
        "refused", "expected {expected}, got {value}", {"expected": expected, "value": _show(value)}
    )


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _explain(error: ValidationError, from_environment: set[str]) -> Iterator[tuple[str, str]]:
    for details in error.errors(include_url=False):
        location = details["loc"]
        if details["type"] == "default_factory_not_called":
            continue  # it follows from another field, whose own problem is in the list
        message = _explain_one(details)
        if location[0] in from_environment:
            message += f" (from {ENVIRONMENT_PREFIX}{str(location[0]).upper()})"
        yield _path(location), message


def _path(location: tuple[int | str, ...]) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in location]
    return "".join(steps).removeprefix(".")


def _explain_one(details: ErrorDetails) -> str:
    if details["type"] == "refused":
        return details["msg"]
    model: type[BaseModel] = Settings
    expected = "a table"
    for step in details["loc"]:
        if isinstance(step, int):
            expected = "a table" if details["type"] == "model_type" else expected
        elif field := model.model_fields.get(step):
            expected = next(item.text for item in field.metadata if isinstance(item, _Expected))
            model = _element_model(field.annotation) or model
        elif details["type"] == "extra_forbidden":
            return _unknown(step, model)
    got = "nothing" if details["type"] == "missing" else _show(details["input"])
    return f"expected {expected}, got {got}"


def _unknown(name: str, model: type[BaseModel]) -> str:
    near = difflib.get_close_matches(name, model.model_fields, 1)
    return f"unknown setting, did you mean {near[0]!r}?" if near else "unknown setting"


def _element_model(annotation: Any) -> type[BaseModel] | None:
    for argument in get_args(annotation):
        if isinstance(argument, type) and issubclass(argument, BaseModel):
            return argument
    return None
