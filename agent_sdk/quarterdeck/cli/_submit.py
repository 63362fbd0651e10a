"""What `quarterdeck task submit` does: one task, or a file of them in batches."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import click
from google.protobuf.json_format import ParseDict, ParseError

from quarterdeck._text import sanitize
from quarterdeck.cli import _tasks
from quarterdeck.cli._call import PATIENCE, CallError, Connection, item_error, request_id
from quarterdeck.cli._exit import CommandError, ExitCode
from quarterdeck.cli._help import meant
from quarterdeck.cli._options import Format, Settings
from quarterdeck.cli._output import emit
from quarterdeck.cli._progress import progress_bar
from quarterdeck.cli._spec import task_spec
from quarterdeck.v1.task_pb2 import TaskSpec
from quarterdeck.v1.task_service_pb2 import SubmitRequest, SubmitResponse, SubmitResult

BATCH = 1000
"""Tasks of one request."""

BATCH_BYTES = 2 * 1024 * 1024
"""Bytes of one request, half of what a gRPC server accepts by default."""

_REFUSALS_SHOWN = 20
_REFERENCE = re.compile(r"#(\d+)")


def submit_one(
    settings: Settings, options: Mapping[str, Any], *, wait: bool, timeout: dt.timedelta | None
) -> int:
    """Submits the task that the options describe and prints its id, or with `wait` its result."""
    connection = Connection(settings)
    response = _send(connection, [task_spec(options)], patience=0)
    result = response.results[0]
    if result.HasField("error"):
        raise item_error(result.error)
    if result.existed and settings.output is Format.TABLE:
        click.echo("an earlier submit made this task", err=True)
    if wait:
        return _tasks.finish(settings, connection, result.task_id, timeout)
    emit(settings.output, response, lambda: click.echo(result.task_id))
    return int(ExitCode.OK)


def submit_file(settings: Settings, file: BinaryIO) -> int:
    """Submits a task for each line of a file and prints the ids in their order.

    A refused line leaves its neighbours alone. A line that is no task at all ends the work there;
    the ones before it are submitted.
    """
    bulk = _Bulk(Connection(settings))
    with progress_bar("submitting", _size(file)) as advance:
        for number, line in enumerate(file, 1):
            if line.strip():
                bulk.add(number, line)
            advance(len(line))
        bulk.send()
    emit(settings.output, bulk.response, lambda: _print_ids(bulk.response))
    click.echo(bulk.summary(), err=True)
    for number, error in bulk.refused[:_REFUSALS_SHOWN]:
        click.echo(f"line {number}: {error.message}", err=True)
    return int(ExitCode.REFUSED if bulk.refused else ExitCode.OK)


@dataclass
class _Bulk:
    """Lines of a file on their way."""

    connection: Connection
    response: SubmitResponse = field(default_factory=SubmitResponse)
    refused: list[tuple[int, CallError]] = field(default_factory=list)
    _specs: list[TaskSpec] = field(default_factory=list)
    _lines: list[int] = field(default_factory=list)
    _bytes: int = 0

    def add(self, number: int, line: bytes) -> None:
        """Takes a line, sending what was taken before when that is enough for a request."""
        try:
            spec = parse_spec(line)
            size = spec.ByteSize()
            if len(self._specs) >= BATCH or self._bytes + size > BATCH_BYTES:
                self.send()
            self._resolve(spec)
        except ValueError as error:
            self.send()
            raise CommandError(f"line {number}: {error}", ExitCode.USAGE, self.summary()) from error
        self._specs.append(spec)
        self._lines.append(number)
        self._bytes += size

    def send(self) -> None:
        """Sends what was taken."""
        if not self._specs:
            return
        response = _send(self.connection, self._specs, patience=PATIENCE)
        for number, result in zip(self._lines, response.results, strict=True):
            if result.HasField("error"):
                self.refused.append((number, item_error(result.error)))
        self.response.results.extend(response.results)
        self._specs.clear()
        self._lines.clear()
        self._bytes = 0

    def summary(self) -> str:
        """What became of the lines that were sent."""
        results = self.response.results
        existed = sum(result.existed for result in results)
        text = f"{len(results) - len(self.refused):,} submitted"
        text += f", {existed:,} of them existed" if existed else ""
        return text + (f", {len(self.refused):,} refused" if self.refused else "")

    def _resolve(self, spec: TaskSpec) -> None:
        # `#n` counts the tasks of the whole file, the wire's `#n` those of one request.
        sent = len(self.response.results)
        for index, dependency in enumerate(spec.depends_on):
            if match := _REFERENCE.fullmatch(dependency):
                place = int(match[1])
                if place >= sent + len(self._specs):
                    raise ValueError(f"depends_on: {dependency} does not stand before it")
                spec.depends_on[index] = (
                    f"#{place - sent}" if place >= sent else self._earlier(place, dependency)
                )

    def _earlier(self, place: int, dependency: str) -> str:
        result: SubmitResult = self.response.results[place]
        if result.HasField("error"):
            raise ValueError(f"depends_on: {dependency} was refused")
        return result.task_id


_FIELDS = frozenset(TaskSpec.DESCRIPTOR.fields_by_name)


def parse_spec(line: bytes) -> TaskSpec:
    """The task of one line: a TaskSpec in protobuf's JSON, but with any JSON value as `input`.

    Raises:
        ValueError: the line is not such an object.
    """
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError(f"expected a JSON object, got {sanitize(str(fields), limit=80)}")
    has_input = "input" in fields
    value = fields.pop("input", None)
    for name in fields:
        if name not in _FIELDS and name not in TaskSpec.DESCRIPTOR.fields_by_camelcase_name:
            shown = sanitize(name, limit=80)
            raise ValueError(f"a TaskSpec has no field {shown!r}.{meant(name, _FIELDS)}")
    try:
        spec = ParseDict(fields, TaskSpec())
    except ParseError as error:
        raise ValueError(sanitize(str(error), limit=400)) from error
    if has_input:
        spec.input.content_type = "application/json"
        spec.input.data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return spec


def _send(connection: Connection, specs: list[TaskSpec], *, patience: float) -> SubmitResponse:
    request = SubmitRequest(namespace=connection.namespace, tasks=specs, request_id=request_id())
    return connection.call(connection.tasks.Submit, request, patience=patience)


def _print_ids(response: SubmitResponse) -> None:
    for result in response.results:
        if result.task_id:
            click.echo(result.task_id)


def _size(file: BinaryIO) -> int:
    """Bytes of a regular file; 0 for a pipe."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
