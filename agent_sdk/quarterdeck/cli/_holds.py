"""What `quarterdeck freeze`, `thaw` and `hold` do."""

from __future__ import annotations

import click

from quarterdeck._text import sanitize
from quarterdeck._words import short_ids
from quarterdeck.cli import _agents, _format
from quarterdeck.cli._call import PATIENCE, CallError, Connection
from quarterdeck.cli._options import Settings, Why
from quarterdeck.cli._output import emit
from quarterdeck.cli._pages import collect
from quarterdeck.cli._table import Column, print_table
from quarterdeck.v1.fleet_service_pb2 import (
    FreezeRequest,
    ListAgentsRequest,
    ListHoldsRequest,
    ListQueuesRequest,
    PutHoldRequest,
    ReleaseHoldRequest,
    ThawRequest,
)
from quarterdeck.v1.hold_pb2 import Hold, HoldKind
from quarterdeck.v1.queue_pb2 import ArrivalPolicy
from quarterdeck.v1.schedule_service_pb2 import ListSchedulesRequest
from quarterdeck.v1.task_service_pb2 import CountTasksRequest

_COLUMNS = (
    Column("kind"),
    Column("subject", flexible=True),
    Column("how"),
    Column("since", right=True),
    Column("actor", flexible=True),
    Column("reason", flexible=True),
)


def freeze(settings: Settings, why: Why) -> None:
    """Stops all claiming in the namespace."""
    connection = Connection(settings)
    request = FreezeRequest(namespace=settings.namespace, reason=why.reason, actor=why.actor)
    response = connection.call(connection.fleet.Freeze, request, patience=PATIENCE)
    hold = response.hold
    by = f" by {hold.actor}" if hold.actor else ""
    said = f": {hold.reason}" if hold.reason else ""
    # A second freeze changes nothing and is answered with the first.
    mine = why.actor.strip(), why.reason.strip()
    before = " already" if (hold.actor, hold.reason) != mine else ""
    line = f"{settings.namespace} frozen{before}{by}, {_format.age(hold.create_time)} ago{said}"
    emit(settings.output, response, lambda: click.echo(sanitize(line)))
    if not _is_used(connection):
        remark = f"there is neither a queue nor an agent in namespace {settings.namespace} now"
        click.echo(sanitize(remark), err=True)


def _is_used(connection: Connection) -> bool:
    """Whether there is anything in the namespace that a freeze stops; also when the server cannot say."""
    space = connection.namespace
    queues = ListQueuesRequest(namespace=space, page_size=1)
    agents = ListAgentsRequest(namespace=space, page_size=1)
    try:
        return bool(
            connection.call(connection.fleet.ListQueues, queues).queues
            or connection.call(connection.fleet.ListAgents, agents).agents
        )
    except CallError:
        return True


def thaw(settings: Settings, why: Why) -> None:
    """Ends a freeze."""
    connection = Connection(settings)
    request = ThawRequest(namespace=settings.namespace, reason=why.reason, actor=why.actor)
    response = connection.call(connection.fleet.Thaw, request, patience=PATIENCE)
    word = "thawed" if response.thawed else "was not frozen"
    emit(settings.output, response, lambda: click.echo(sanitize(f"{settings.namespace} {word}")))


def put(settings: Settings, kind: str, subject: str, why: Why, *, drop: bool) -> None:
    """Pauses a task name, or puts an agent or a version in quarantine.

    What is not known yet may be held; that it is not is said, as it may be mistyped.
    """
    connection = Connection(settings)
    if kind == "agent":
        subject = _agents.whole_id(connection, subject)
    request = PutHoldRequest(
        namespace=settings.namespace,
        kind=_kind(kind),
        subject=subject,
        reason=why.reason,
        actor=why.actor,
    )
    if drop:
        request.arrivals = ArrivalPolicy.ARRIVAL_POLICY_DROP
    response = connection.call(connection.fleet.PutHold, request, patience=PATIENCE)
    emit(settings.output, response, lambda: click.echo(sanitize(describe(response.hold))))
    if not _known(connection, kind, subject):
        what = kind.replace("-", " ")
        remark = f"no {what} {subject} is known now: the hold is for when there is one"
        click.echo(sanitize(remark), err=True)


def _known(connection: Connection, kind: str, subject: str) -> bool:
    """Whether there is, or will be, what is held; also when the server cannot say."""
    try:
        if kind == "task-name":
            return _is_name(connection, subject)
        name, _, version = subject.partition("@")
        wanted = (
            f"id:{_format.quoted(subject)}"
            if kind == "agent"
            else f"name:{_format.quoted(name)} version:{_format.quoted(version)}"
        )
        agents = ListAgentsRequest(namespace=connection.namespace, filter=wanted, page_size=1)
        return bool(connection.call(connection.fleet.ListAgents, agents).agents)
    except CallError:
        return True


def _is_name(connection: Connection, name: str) -> bool:
    """Whether there are tasks of a name, or a schedule makes them."""
    space, quoted = connection.namespace, _format.quoted(name)
    tasks = CountTasksRequest(namespace=space, filter=f"name:{quoted}")
    if connection.call(connection.tasks.CountTasks, tasks).total:
        return True
    made = ListSchedulesRequest(namespace=space, filter=f"task:{quoted}", page_size=1)
    return bool(connection.call(connection.schedules.ListSchedules, made).schedules)


def release(settings: Settings, kind: str, subject: str, why: Why) -> None:
    """Ends a pause or a quarantine."""
    connection = Connection(settings)
    if kind == "agent":
        subject = _agents.whole_id(connection, subject)
    request = ReleaseHoldRequest(
        namespace=settings.namespace,
        kind=_kind(kind),
        subject=subject,
        reason=why.reason,
        actor=why.actor,
    )
    response = connection.call(connection.fleet.ReleaseHold, request)
    emit(settings.output, response, lambda: click.echo(sanitize(f"{kind} {subject} released")))


def list_holds(settings: Settings) -> None:
    """Prints all that is held."""
    connection = Connection(settings)
    request = ListHoldsRequest(namespace=settings.namespace)
    response = collect(connection, connection.fleet.ListHolds, request, "holds")
    ids = short_ids(hold.subject for hold in response.holds)
    rows = [
        (
            _word(hold),
            ids[hold.subject],
            _how(hold),
            _format.age(hold.create_time),
            hold.actor,
            hold.reason,
        )
        for hold in response.holds
    ]
    emit(settings.output, response, lambda: print_table(_COLUMNS, rows, nothing="nothing is held"))


def describe(hold: Hold) -> str:
    """A hold in one line; not yet safe to print."""
    who = f" by {hold.actor}" if hold.actor else ""
    why = f": {hold.reason}" if hold.reason else ""
    return " ".join(filter(None, (_word(hold), hold.subject, _how(hold)))) + who + why


def _how(hold: Hold) -> str:
    if hold.kind == HoldKind.HOLD_KIND_NAMESPACE:
        return "frozen"
    return "quarantined" if hold.quarantined else "held"


def _word(hold: Hold) -> str:
    return _format.enum_word(HoldKind.DESCRIPTOR, hold.kind).replace("_", "-")


def _kind(word: str) -> HoldKind.ValueType:
    return HoldKind.Value(f"HOLD_KIND_{word.upper().replace('-', '_')}")
