"""Options that every command has, and what they come to together."""

from __future__ import annotations

import enum
import functools
import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

DEFAULT_SERVER = "127.0.0.1:7400"
"""Where a server listens when nobody says otherwise."""

DEFAULT_NAMESPACE = "default"
"""The tenant when nobody says otherwise."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Format(enum.Enum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True)
class Settings:
    """What the common options of one command line come to."""

    server: str = DEFAULT_SERVER
    namespace: str = DEFAULT_NAMESPACE
    output: Format = Format.TABLE


@dataclass(frozen=True)
class Why:
    """Who does something by hand, and why: for the audit log.

    Attributes:
        reason: Why.
        actor: Who; user and machine when nobody says otherwise.
    """

    reason: str
    actor: str


def connection_options(function: Function) -> Function:
    """Adds `--server` and `--namespace`."""
    server = click.option(
        "--server",
        metavar="HOST:PORT",
        expose_value=False,
        callback=_remember,
        help=f"The server's address.  [default: {DEFAULT_SERVER}; env: QUARTERDECK_SERVER]",
    )
    namespace = click.option(
        "--namespace",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help="The tenant.  [default: default; env: QUARTERDECK_NAMESPACE]",
    )
    return server(namespace(function))


def output_option(function: Function) -> Function:
    """Adds `-o`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice([choice.value for choice in Format]),
        expose_value=False,
        callback=_remember,
        help="How to print.  [default: table]",
    )(function)


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds every common option; the command gets what they come to as `settings`."""

    @functools.wraps(function)
    def command(**parameters: Any) -> Any:
        return function(settings(click.get_current_context()), **parameters)

    return connection_options(output_option(command))


def audit_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--reason`, which may be written `--note`, and `--actor`; the command gets them as `why`."""

    @functools.wraps(function)
    def command(*arguments: Any, reason: str, actor: str | None, **parameters: Any) -> Any:
        return function(*arguments, why=Why(reason, actor or _caller()), **parameters)

    reason = click.option(
        "--reason", "--note", "reason", default="", help="Why, for whoever asks later."
    )
    actor = click.option("--actor", help="Who asks.  [default: you@this machine]")
    return reason(actor(command))


def _caller() -> str:
    """Who runs this command: user and machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"[:256]


def settings(ctx: click.Context) -> Settings:
    """The common options of this command line.

    An option after the command's name wins over one before it, which wins over the environment.

    Raises:
        click.UsageError: The address is none.
    """
    from quarterdeck._environment import resolve_address, resolve_namespace

    found: dict[str, str] = {}
    context: click.Context | None = ctx
    while context is not None:
        found = {**context.meta.get(_key(context), {}), **found}
        context = context.parent
    try:
        server = resolve_address(found.get("server"))
    except ValueError as error:
        raise click.UsageError(f"the server's {error}") from error
    return Settings(
        server=server,
        namespace=resolve_namespace(found.get("namespace")),
        output=Format(found.get("output", Format.TABLE.value)),
    )


def _remember(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and parameter.name is not None:
        ctx.meta.setdefault(_key(ctx), {})[parameter.name] = value


def _key(ctx: click.Context) -> str:
    # `meta` is shared by nested contexts, so each level keeps its options under its own path.
    return f"quarterdeck.options.{ctx.command_path}"
