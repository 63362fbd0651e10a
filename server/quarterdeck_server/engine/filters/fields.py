"""What can be filtered: the fields of tasks, agents, schedules and queues.

A field table is the one description from which parsing, the predicate, the SQL, the error
messages and the documentation's check are made. A row is any object with the attributes
named here; they are also the store's column names.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any as AnyRow
from typing import Final

from quarterdeck_server.engine.flow.lane import lane_of
from quarterdeck_server.engine.ids import decode_task_id, encode_task_id
from quarterdeck_server.engine.schedule.schedules import Kind
from quarterdeck_server.engine.states import ENDED, AgentState, TaskState

LABEL_PREFIX: Final = "label."
ATTRIBUTE_PREFIX: Final = "attr."


class FieldKind(enum.Enum):
    """What a field holds, and so what may be asked of it.

    TEXT is compared whole and in its own case, CONTAINS is searched in any case of ASCII
    letters, LIST is a JSON array of texts of which one must match, LABELS a JSON object of
    texts, ATTRIBUTES one of texts, numbers and booleans, TIME an instant in microseconds
    since 1970, SINCE the time gone by since an instant, ENUM a number or text with a name,
    ID a number with a wire text.
    """

    TEXT = "text"
    CONTAINS = "contained text"
    LIST = "list"
    LABELS = "label"
    ATTRIBUTES = "attribute"
    INT = "number"
    ID = "id"
    ENUM = "name"
    TIME = "time"
    SINCE = "duration"


@dataclass(frozen=True, slots=True)
class IdCodec:
    """How an id is written on the wire; ``decode`` raises ValueError with a clear message."""

    encode: Callable[[int], str]
    decode: Callable[[str], int]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One name that a filter may use; equal only to itself.

    Attributes:
        name: the name, lower case; empty for the text fields that bare words search.
        kind: see ``FieldKind``.
        attributes: row attributes, which are column names too; several only for CONTAINS.
        nullable: the attribute may be None.
        aliases: other names of the same field.
        words: for ENUM, what each word stands for; a group word stands for several values.
        codec: for ID.
        read: how a row gives the value when it is no attribute of its own.
        sql: the same in SQL over the attributes, which are columns; None where there is none.
    """

    name: str
    kind: FieldKind
    attributes: tuple[str, ...]
    nullable: bool = False
    aliases: tuple[str, ...] = ()
    words: Mapping[str, tuple[int, ...]] | None = None
    codec: IdCodec | None = None
    read: Callable[[AnyRow], int | str | None] | None = None
    sql: str | None = None

    @property
    def keyed(self) -> bool:
        """It is a set of names that are the users' own: ``label.KEY``."""
        return self.kind in (FieldKind.LABELS, FieldKind.ATTRIBUTES)

    @property
    def getter(self) -> Callable[[AnyRow], AnyRow]:
        """Reads the field's value from a row; a tuple of them where there are several."""
        return self.read or attrgetter(*self.attributes)


class FieldTable:
    """The fields of one kind of resource."""

    def __init__(self, resource: str, text: tuple[Field, ...], fields: tuple[Field, ...]) -> None:
        """Describe a resource.

        Args:
            resource: its name, one of design section 1.
            text: the fields that a bare word searches.
            fields: every field that may be named.
        """
        self.resource = resource
        self.fields = fields
        self.bare = Field(
            "",
            FieldKind.CONTAINS,
            tuple(attribute for field in text for attribute in field.attributes),
            nullable=True,
        )
        self._by_name = {
            name: field
            for field in fields
            for name in (field.name, *field.aliases)
            if not field.keyed
        }
        self.labels = next((f for f in fields if f.kind is FieldKind.LABELS), None)
        self.facts = next((f for f in fields if f.kind is FieldKind.ATTRIBUTES), None)
        self.id = next((f for f in fields if f.kind is FieldKind.ID and f.name == "id"), None)

    def find(self, name: str) -> Field | None:
        """The field of this name or alias, in any case of letters."""
        return self._by_name.get(name.lower())

    @property
    def names(self) -> tuple[str, ...]:
        """Every name and alias; what has names that are the users' own is not among them."""
        return tuple(self._by_name)


def _field(
    kind: FieldKind,
    name: str,
    attribute: str = "",
    *,
    null: bool = False,
    aliases: tuple[str, ...] = (),
) -> Field:
    return Field(name, kind, (attribute or name,), null, aliases)


def _enum(name: str, words: Mapping[str, tuple[int, ...]]) -> Field:
    return Field(name, FieldKind.ENUM, (name,), words=words)


def _text(name: str, attribute: str = "", *, null: bool = False) -> Field:
    return _field(FieldKind.TEXT, name, attribute, null=null)


def _members(kind: type[enum.IntEnum]) -> dict[str, tuple[int, ...]]:
    return {member.name.lower(): (int(member),) for member in kind}


def _count_of(state: TaskState) -> Callable[[AnyRow], int]:
    return lambda row: sum(count for _, counted, count in row.counts if counted == state)


def _count(name: str, state: TaskState) -> Field:
    return Field(name, FieldKind.INT, (name,), read=_count_of(state))


_TASK_CODEC: Final = IdCodec(encode_task_id, decode_task_id)
_LABELS: Final = _field(FieldKind.LABELS, "label", "labels", null=True)
_NAME: Final = _text("name")
_QUEUE: Final = _text("queue")
_TASK_KEY: Final = _text("key", "idempotency_key", null=True)
_REASON: Final = _text("reason", null=True)
_ERROR: Final = Field("error", FieldKind.CONTAINS, ("error_type", "error_message"), nullable=True)
_GROUP: Final = Field(
    "group",
    FieldKind.TEXT,
    ("lane",),
    nullable=True,
    read=lambda row: lane_of(row.lane).group_key or None,
    sql="nullif(json_extract(lane, '$[0]'), '')",
)
_TASK_PAUSED: Final = Field(
    "paused",
    FieldKind.ENUM,
    ("pause",),
    words={"yes": (1,), "no": (0,), "true": (1,), "false": (0,)},
    read=lambda row: int(row.pause is not None),
    sql="(pause IS NOT NULL)",
)
_PAUSED: Final = _enum("paused", {"yes": (1,), "no": (0,), "true": (1,), "false": (0,)})

TASK_FIELDS: Final = FieldTable(
    "task",
    (_NAME, _QUEUE, _TASK_KEY, _REASON, _ERROR),
    (
        Field("id", FieldKind.ID, ("id",), codec=_TASK_CODEC),
        _NAME,
        _QUEUE,
        _enum(
            "state",
            {
                **_members(TaskState),
                "active": tuple(int(state) for state in TaskState if state not in ENDED),
                "ended": tuple(sorted(ENDED)),
            },
        ),
        _field(FieldKind.INT, "priority"),
        _field(FieldKind.TIME, "run_at"),
        _field(FieldKind.TIME, "created", "create_time", aliases=("create_time",)),
        _field(FieldKind.SINCE, "age", "create_time"),
        _field(FieldKind.INT, "attempt"),
        _field(FieldKind.INT, "max_attempts"),
        Field("parent", FieldKind.ID, ("parent_id",), True, ("parent_id",), codec=_TASK_CODEC),
        Field("rerun_of", FieldKind.ID, ("origin_id",), True, codec=_TASK_CODEC),
        _text("schedule", "schedule_id", null=True),
        _TASK_KEY,
        _GROUP,
        _text("agent", "agent_id", null=True),
        _field(FieldKind.TIME, "started", "claim_time", null=True, aliases=("claim_time",)),
        _field(FieldKind.TIME, "ended", "end_time", null=True, aliases=("end_time",)),
        _REASON,
        _ERROR,
        _text("error_type", null=True),
        _TASK_PAUSED,
        _LABELS,
        _field(FieldKind.ATTRIBUTES, "attr", "attributes", null=True),
    ),
)

_AGENT_ID: Final = _text("id")
_VERSION: Final = _text("version")
_HOSTNAME: Final = Field("host", FieldKind.TEXT, ("hostname",), aliases=("hostname",))
_POOL: Final = _text("pool", null=True)

AGENT_FIELDS: Final = FieldTable(
    "agent",
    (_AGENT_ID, _NAME, _VERSION, _HOSTNAME, _POOL),
    (
        _AGENT_ID,
        _NAME,
        _enum("state", _members(AgentState)),
        _VERSION,
        _HOSTNAME,
        _field(FieldKind.INT, "pid"),
        _field(FieldKind.INT, "slots"),
        _field(FieldKind.INT, "running"),
        _field(FieldKind.LIST, "queue", "queues", aliases=("queues",)),
        _POOL,
        _field(FieldKind.TIME, "created", "create_time", aliases=("create_time",)),
        _field(FieldKind.TIME, "seen", "last_contact_time", aliases=("last_contact_time",)),
        _field(FieldKind.SINCE, "age", "create_time"),
        _field(FieldKind.SINCE, "silent", "last_contact_time"),
        _LABELS,
    ),
)

_SCHEDULE_ID: Final = _text("id")
_SPEC: Final = _text("spec")
_TASK_NAME: Final = Field("task", FieldKind.TEXT, ("task_name",), aliases=("task_name",))

SCHEDULE_FIELDS: Final = FieldTable(
    "schedule",
    (_SCHEDULE_ID, _QUEUE, _TASK_NAME, _SPEC),
    (
        _SCHEDULE_ID,
        _enum("kind", _members(Kind)),
        _SPEC,
        Field("zone", FieldKind.TEXT, ("time_zone",), True, ("time_zone",)),
        _QUEUE,
        _TASK_NAME,
        _PAUSED,
        _field(FieldKind.TIME, "next", "next_at", null=True, aliases=("next_at",)),
        _field(FieldKind.TIME, "last", "last_at", null=True, aliases=("last_at",)),
        _field(FieldKind.TIME, "created", "create_time", aliases=("create_time",)),
        _field(FieldKind.SINCE, "age", "create_time"),
    ),
)

QUEUE_FIELDS: Final = FieldTable(
    "queue",
    (_NAME,),
    (
        _NAME,
        _PAUSED,
        _count("ready", TaskState.READY),
        _count("running", TaskState.RUNNING),
        _field(FieldKind.TIME, "created", "create_time", aliases=("create_time",)),
        _field(FieldKind.SINCE, "age", "create_time"),
    ),
)
