"""One filter grammar for lists, counts, watches and bulk acts.

``parse`` turns a text into a ``Filter``; ``compile_predicate`` and ``compile_sql`` turn that
into a Python predicate and a SQL condition that take the same rows. Nothing here does I/O.
"""

from __future__ import annotations

from quarterdeck_server.engine.filters.ast import Filter
from quarterdeck_server.engine.filters.errors import FilterError
from quarterdeck_server.engine.filters.evaluate import Predicate, compile_predicate
from quarterdeck_server.engine.filters.fields import (
    AGENT_FIELDS,
    QUEUE_FIELDS,
    SCHEDULE_FIELDS,
    TASK_FIELDS,
    Field,
    FieldKind,
    FieldTable,
)
from quarterdeck_server.engine.filters.parser import MAX_DEPTH, MAX_LENGTH, MAX_TERMS, parse
from quarterdeck_server.engine.filters.regex import regexp
from quarterdeck_server.engine.filters.sql import Fragment, compile_sql

__all__ = [
    "AGENT_FIELDS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_TERMS",
    "QUEUE_FIELDS",
    "SCHEDULE_FIELDS",
    "TASK_FIELDS",
    "Field",
    "FieldKind",
    "FieldTable",
    "Filter",
    "FilterError",
    "Fragment",
    "Predicate",
    "compile_predicate",
    "compile_sql",
    "parse",
    "regexp",
]
