"""An agent: a registry of handlers. It opens nothing; `serve` does."""

from __future__ import annotations

import datetime as dt
import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Literal, TypeVar, get_args, get_origin, overload

from quarterdeck._codec import decoder
from quarterdeck._errors import DefinitionError, PayloadError
from quarterdeck._run import Run
from quarterdeck._spans import Span, seconds

Handler = TypeVar("Handler", bound=Callable[Concatenate[Run, ...], object])
BatchHandler = TypeVar("BatchHandler", bound=Callable[Concatenate[list[Run], ...], object])
Cleanup = Callable[[Run], object]
Kind = Literal["async", "thread", "process"]

MOST_IN_BATCH = 1_000
_MOST_LABELS = 64
_MOST_LINGER_SECONDS = 3_600
_NAME = re.compile(r"[A-Za-z0-9_\-.:/]{1,256}")


@dataclass(frozen=True, slots=True)
class TaskHandler:
    """A registered handler, with all that was read from its signature.

    Attributes:
        name: The task name that it handles.
        function: The handler itself.
        kind: Where it runs: on the event loop, in a thread, or in a process of its own.
        is_async: True of a coroutine function.
        takes_input: True when it wants a second argument.
        decode: Turns the input's bytes into that argument.
        default: What stands for an input that was not given; `...` when there is nothing.
        cleanup: Called after an attempt that ended without a result.
        batch: How many tasks it takes at once; 0 when it takes them one by one.
        linger: Seconds that the first of a batch may wait for the others.
    """

    name: str
    function: Callable[..., Any]
    kind: Kind
    is_async: bool
    takes_input: bool
    decode: Callable[[bytes], Any]
    default: Any = ...
    cleanup: Cleanup | None = None
    batch: int = 0
    linger: float = 0.0

    def arguments(self, run: Run, data: bytes) -> tuple[Any, ...]:
        """The handler's arguments, decoded; sets `run.input`.

        Raises:
            InputError: The input does not fit the handler's annotation.
        """
        if not data and self.default is not ...:
            run.input = self.default
            return (run, run.input)
        try:
            run.input = self.decode(data)
        except PayloadError as error:
            raise InputError(error) from error
        return (run, run.input) if self.takes_input else (run,)


class InputError(PayloadError):
    """A task's input does not fit its handler; no attempt at it can succeed."""

    def __init__(self, error: PayloadError) -> None:
        problem = str(error).removeprefix(f"{error.field}: ") if error.field else str(error)
        dot = "." if error.field and not error.field.startswith("[") else ""
        super().__init__(f"input{dot}{error.field}", problem)


class Agent:
    """A named set of handlers, and how many tasks they run at once.

    Args:
        name: Shared by all processes that run this agent, such as `researcher`; without `@`, which
            parts it from its version in `researcher@1.0`.
        slots: How many tasks one process runs at once.
        queues: The lines to take tasks from, all alike.
        labels: For finding the agent, and for tasks that ask for agents with certain labels. At
            most 64, keys up to 128 and values up to 256 characters.
        version: Version of the agent's code.

    Raises:
        DefinitionError: A name or a number is out of bounds.
    """

    def __init__(
        self,
        name: str,
        *,
        slots: int = 8,
        queues: Sequence[str] = ("default",),
        labels: Mapping[str, str] | None = None,
        version: str = "",
    ) -> None:
        if not isinstance(name, str) or not 1 <= len(name) <= 256 or "@" in name:
            raise DefinitionError(f"name: expected 1 to 256 characters without @, got {name!r}")
        if not isinstance(slots, int) or slots < 1:
            raise DefinitionError(f"slots: expected at least 1, got {slots!r}")
        if isinstance(queues, str) or not 1 <= len(queues) <= 64:
            raise DefinitionError(f"queues: expected a list of 1 to 64 names, got {queues!r}")
        for queue in queues:
            if not isinstance(queue, str) or not _NAME.fullmatch(queue):
                raise DefinitionError(
                    f"queues: expected 1 to 256 letters, digits and _ - . : /, got {queue!r}"
                )
        _check_labels(labels or {})
        self.name = name
        self.slots = slots
        self.queues = tuple(queues)
        self.labels = dict(labels or {})
        self.version = version
        self._handlers: dict[str, TaskHandler] = {}

    @property
    def handlers(self) -> Mapping[str, TaskHandler]:
        """The registered handlers by task name."""
        return types.MappingProxyType(self._handlers)

    @overload
    def task(self, function: Handler, /) -> Handler: ...

    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        isolation: Literal["process"] | None = None,
        cleanup: Cleanup | None = None,
    ) -> Callable[[Handler], Handler]: ...

    @overload
    def task(
        self,
        /,
        *,
        batch: int,
        linger: Span = 0.0,
        name: str | None = None,
        cleanup: Cleanup | None = None,
    ) -> Callable[[BatchHandler], BatchHandler]: ...

    def task(
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        isolation: Literal["process"] | None = None,
        cleanup: Cleanup | None = None,
        batch: int | None = None,
        linger: Span = 0.0,
    ) -> Any:
        """Register a handler; it stays a plain function.

        Its first parameter is the `Run`, an optional second one the input, decoded as its
        annotation says. An `async def` runs on the event loop, a `def` in a thread.

        Args:
            function: The handler.
            name: The task name that it handles; the function's own name by default.
            isolation: `"process"` runs each task in a child process, so that a cancel can kill
                it whatever it does. The function must be importable by its module and name.
            cleanup: Called with the `Run` after the handler ended without a result: it raised, was
                cancelled, ran out of time, or its agent stops. Still under the lease and before
                the report, for as long as the task's `cancel_grace` lasts; not when the lease was
                lost. Sync or async; always in the agent's own process. What it raises is logged
                and changes nothing.
            batch: Give the handler up to so many tasks of one group key at once: it takes a list
                of runs, and as an optional second parameter the list of their inputs, and returns
                the list of their results. An exception in the list fails that task alone, one
                that is raised fails all. One batch runs at a time, beside the agent's slots.
            linger: How long the first task of a batch may wait for the others; at most 1 h.

        Raises:
            DefinitionError: The signature cannot work, or the name is taken.
        """
        scope = _caller_scope()
        if function is not None and not callable(function):
            raise DefinitionError(f"task: expected a function; for a name, task(name={function!r})")

        def register(handler: Any) -> Any:
            label = getattr(handler, "__qualname__", repr(handler))
            _check_extras(label, cleanup, isolation, batch, linger)
            made = read_handler(handler, name, isolation, scope, batch)
            made = replace(made, cleanup=cleanup, batch=batch or 0, linger=seconds(linger))
            if made.name in self._handlers:
                raise DefinitionError(f"{made.name}: there is a handler for this name already")
            self._handlers[made.name] = made
            return handler

        return register if function is None else register(function)


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > _MOST_LABELS:
        raise DefinitionError(f"labels: expected at most {_MOST_LABELS}, got {len(labels)}")
    for key, value in labels.items():
        texts = isinstance(key, str) and isinstance(value, str)
        if not texts or not 1 <= len(key) <= 128 or len(value) > 256:
            rule = "expected keys of 1 to 128 and values of up to 256 characters"
            raise DefinitionError(f"labels: {rule}, got {key!r}: {value!r}")


def _check_extras(
    label: str,
    cleanup: Cleanup | None,
    isolation: str | None,
    batch: int | None,
    linger: Span,
) -> None:
    if cleanup is not None and not callable(cleanup):
        raise DefinitionError(f"{label}: cleanup: expected a function, got {cleanup!r}")
    if batch is None:
        if linger:
            raise DefinitionError(f"{label}: linger: only a batch has one")
        return
    if isolation is not None:
        raise DefinitionError(f"{label}: batch: not together with isolation")
    if type(batch) is not int or not 1 <= batch <= MOST_IN_BATCH:
        raise DefinitionError(f"{label}: batch: expected 1 to {MOST_IN_BATCH}, got {batch!r}")
    known = isinstance(linger, (int, float, dt.timedelta))
    if not known or not 0 <= seconds(linger) <= _MOST_LINGER_SECONDS:
        rule = f"expected 0 to {_MOST_LINGER_SECONDS} seconds"
        raise DefinitionError(f"{label}: linger: {rule}, got {linger!r}")


def _caller_scope() -> Mapping[str, Any]:
    """The local names where `task` was used, for annotations that name local classes."""
    frame = sys._getframe(2)
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def read_handler(
    function: Callable[..., Any],
    name: str | None = None,
    isolation: Literal["process"] | None = None,
    scope: Mapping[str, Any] | None = None,
    batch: int | None = None,
) -> TaskHandler:
    """What a handler's signature says, of one that takes a batch the type of a single input.

    Raises:
        DefinitionError: It cannot work.
    """
    label = getattr(function, "__qualname__", repr(function))
    task_name = name or str(getattr(function, "__name__", ""))
    if not _NAME.fullmatch(task_name):
        raise DefinitionError(
            f"{label}: name: expected 1 to 256 letters, digits and _ - . : /, got {task_name!r}"
        )
    if isolation not in (None, "process"):
        raise DefinitionError(f"{label}: isolation: expected 'process', got {isolation!r}")
    if isolation and ("<" in label or "." in label):
        raise DefinitionError(f"{label}: only a function of a module runs in a process of its own")
    is_async = inspect.iscoroutinefunction(function)
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise DefinitionError(f"{label}: a handler returns its result, it cannot yield")
    kind: Kind = isolation or ("async" if is_async else "thread")
    scope = scope or {}
    takes_input, annotation, default = _read_signature(function, label, scope, batch is not None)
    if batch is not None:
        default = ...
        if annotation is not Any:
            annotation = _item_type(annotation, label)
    try:
        decode = decoder(annotation, scope)
    except DefinitionError as error:
        raise DefinitionError(f"{label}: {error}") from None
    return TaskHandler(task_name, function, kind, is_async, takes_input, decode, default)


def _read_signature(
    function: Callable[..., Any], label: str, scope: Mapping[str, Any], batch: bool
) -> tuple[bool, Any, Any]:
    """Whether the handler takes an input, of which type, and its default."""
    try:
        signature = inspect.signature(function, eval_str=True, locals=scope)
    except (NameError, AttributeError, SyntaxError) as error:
        raise DefinitionError(f"{label}: {error}") from error
    positional = [
        p
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    needed = [p.name for p in signature.parameters.values() if _must_be_given(p)]
    if not positional or len(positional) > 2 or set(needed) - {p.name for p in positional}:
        wanted = "(runs) or (runs, inputs)" if batch else "(run) or (run, input)"
        raise DefinitionError(f"{label}: expected {wanted}, got {signature}")
    first = positional[0].annotation
    if first is not inspect.Parameter.empty and not _fits(first, batch):
        wanted = "list[quarterdeck.Run]" if batch else "quarterdeck.Run"
        raise DefinitionError(f"{label}: the first parameter is a {wanted}, not {first!r}")
    if len(positional) == 1:
        return False, Any, ...
    annotation, default = positional[1].annotation, positional[1].default
    empty = inspect.Parameter.empty
    return (
        True,
        Any if annotation is empty else annotation,
        ... if default is empty else default,
    )


def _must_be_given(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in (
        parameter.VAR_POSITIONAL,
        parameter.VAR_KEYWORD,
    )


def _fits(annotation: Any, batch: bool) -> bool:
    """Whether what a handler is called with fits its first parameter."""
    if not batch:
        return _is_run(annotation)
    if annotation in (Any, list):
        return True
    items = get_args(annotation)
    return get_origin(annotation) in (list, Sequence) and len(items) == 1 and _is_run(items[0])


def _item_type(annotation: Any, label: str) -> Any:
    if annotation is list:
        return Any
    items = get_args(annotation)
    if get_origin(annotation) not in (list, Sequence) or len(items) != 1:
        raise DefinitionError(f"{label}: the inputs are a list, not {annotation!r}")
    return items[0]


def _is_run(annotation: Any) -> bool:
    return annotation is Any or (isinstance(annotation, type) and issubclass(Run, annotation))
