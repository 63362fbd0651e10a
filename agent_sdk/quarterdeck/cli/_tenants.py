"""What `quarterdeck namespace` and `audit` do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration

from quarterdeck._words import counted
from quarterdeck.cli import _format
from quarterdeck.cli._call import PATIENCE, Connection
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._table import Column, print_fields, print_table
from quarterdeck.v1.audit_pb2 import AuditEntry
from quarterdeck.v1.fleet_service_pb2 import (
    GetNamespaceRequest,
    ListAuditEntriesRequest,
    UpdateNamespaceRequest,
)
from quarterdeck.v1.namespace_pb2 import Namespace

_AUDIT_COLUMNS = (
    Column("time"),
    Column("actor", flexible=True),
    Column("action"),
    Column("done", right=True),
    Column("target", flexible=True),
    Column("change", flexible=True),
    Column("reason", flexible=True),
)
_KEPT = ("succeeded", "failed", "cancelled", "expired")
_RULES = ("task_name", "agent", "agent_version")


def get(settings: Settings) -> None:
    """Prints the settings of the namespace."""
    connection = Connection(settings)
    request = GetNamespaceRequest(namespace=settings.namespace)
    response = connection.call(connection.fleet.GetNamespace, request, patience=PATIENCE)
    emit(settings.output, response, lambda: _print(response.namespace))


def set_(settings: Settings, values: Mapping[str, Any], why: Why, *, etag: str) -> None:
    """Changes the settings that are given and leaves the others; with an etag only where they have it."""
    connection = Connection(settings)
    request = UpdateNamespaceRequest(
        namespace=settings.namespace, etag=etag, reason=why.reason, actor=why.actor
    )
    for state in _KEPT:
        if values[state] is not None:
            getattr(request.retention, state).FromTimedelta(values[state])
            request.update_mask.paths.append(f"retention.{state}")
    for rule in _RULES:
        if values[rule] is not None:
            setattr(request.quarantine, rule, values[rule])
            request.update_mask.paths.append(f"quarantine.{rule}")
    if not request.update_mask.paths:
        raise click.UsageError("nothing to change: --help lists what can be")
    response = connection.call(connection.fleet.UpdateNamespace, request)
    emit(settings.output, response, lambda: _print(response.namespace))


def list_audit(settings: Settings, limit: int) -> None:
    """Prints what operators did, the newest first; `limit` 0 prints all."""
    connection = Connection(settings)
    request = ListAuditEntriesRequest(namespace=settings.namespace)
    found = collect(connection, connection.fleet.ListAuditEntries, request, "entries", limit=limit)

    def table() -> None:
        rows = [_row(entry) for entry in found.entries]
        print_table(_AUDIT_COLUMNS, rows, nothing="no entries")
        if found.next_page_token and sys.stderr.isatty():
            shown = counted(len(found.entries), "entry", "entries")
            click.echo(f"the newest {shown}: --limit 0 lists all", err=True)

    emit(settings.output, found, table)


def _print(namespace: Namespace) -> None:
    kept, rules = namespace.effective_retention, namespace.quarantine
    print_fields(
        [
            ("namespace", namespace.name),
            *((f"{state} kept", _kept(getattr(kept, state))) for state in _KEPT),
            *((f"{rule.replace('_', ' ')} held", _after(getattr(rules, rule))) for rule in _RULES),
        ]
    )


def _kept(span: Duration) -> str:
    return _format.duration(span) or "not at all"


def _after(failures: int) -> str:
    return f"after {counted(failures, 'failure')} in a row" if failures else "never"


def _row(entry: AuditEntry) -> tuple[str, ...]:
    done = f"{entry.done:,}" if entry.done == entry.matched else f"{entry.done:,}/{entry.matched:,}"
    return (
        _format.instant(entry.time),
        entry.actor,
        entry.action,
        done,
        entry.target or entry.filter,
        entry.change,
        entry.reason,
    )
