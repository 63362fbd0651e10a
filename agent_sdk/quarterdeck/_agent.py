"""An agent: a registry of handlers. It opens nothing; `serve` does."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, TypeVar, overload

from quarterdeck._codec import decoder
from quarterdeck._errors import DefinitionError, PayloadError
from quarterdeck._run import Run

Handler = TypeVar("Handler", bound=Callable[Concatenate[Run, ...], object])
Kind = Literal["async", "thread", "process"]

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
    """

    name: str
    function: Callable[..., Any]
    kind: Kind
    is_async: bool
    takes_input: bool
    decode: Callable[[bytes], Any]
    default: Any = ...

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
        name: Shared by all processes that run this agent, such as `researcher`.
        slots: How many tasks one process runs at once.
        queues: The lines to take tasks from, all alike.
        labels: For finding the agent.
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
        if not isinstance(name, str) or not 1 <= len(name) <= 256:
            raise DefinitionError(f"name: expected 1 to 256 characters, got {name!r}")
        if not isinstance(slots, int) or slots < 1:
            raise DefinitionError(f"slots: expected at least 1, got {slots!r}")
        if isinstance(queues, str) or not 1 <= len(queues) <= 64:
            raise DefinitionError(f"queues: expected a list of 1 to 64 names, got {queues!r}")
        for queue in queues:
            if not isinstance(queue, str) or not _NAME.fullmatch(queue):
                raise DefinitionError(
                    f"queues: expected 1 to 256 letters, digits and _ - . : /, got {queue!r}"
                )
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
        self, /, *, name: str | None = None, isolation: Literal["process"] | None = None
    ) -> Callable[[Handler], Handler]: ...

    def task(
        self,
        function: Handler | None = None,
        /,
        *,
        name: str | None = None,
        isolation: Literal["process"] | None = None,
    ) -> Handler | Callable[[Handler], Handler]:
        """Register a handler; it stays a plain function.

        Its first parameter is the `Run`, an optional second one the input, decoded as its
        annotation says. An `async def` runs on the event loop, a `def` in a thread.

        Args:
            function: The handler.
            name: The task name that it handles; the function's own name by default.
            isolation: `"process"` runs each task in a child process, so that a cancel can kill
                it whatever it does. The function must be importable by its module and name.

        Raises:
            DefinitionError: The signature cannot work, or the name is taken.
        """
        scope = _caller_scope()
        if function is not None and not callable(function):
            raise DefinitionError(f"task: expected a function; for a name, task(name={function!r})")

        def register(handler: Handler) -> Handler:
            made = read_handler(handler, name, isolation, scope)
            if made.name in self._handlers:
                raise DefinitionError(f"{made.name}: there is a handler for this name already")
            self._handlers[made.name] = made
            return handler

        return register if function is None else register(function)


def _caller_scope() -> Mapping[str, Any]:
    """The local names where `task` was used, for annotations that name local classes."""
    frame = sys._getframe(2)
    return {} if frame.f_locals is frame.f_globals else dict(frame.f_locals)


def read_handler(
    function: Callable[..., Any],
    name: str | None = None,
    isolation: Literal["process"] | None = None,
    scope: Mapping[str, Any] | None = None,
) -> TaskHandler:
    """What a handler's signature says.

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
    takes_input, annotation, default = _read_signature(function, label, scope)
    try:
        decode = decoder(annotation, scope)
    except DefinitionError as error:
        raise DefinitionError(f"{label}: {error}") from None
    return TaskHandler(task_name, function, kind, is_async, takes_input, decode, default)


def _read_signature(
    function: Callable[..., Any], label: str, scope: Mapping[str, Any]
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
        raise DefinitionError(f"{label}: expected (run) or (run, input), got {signature}")
    first = positional[0].annotation
    if first is not inspect.Parameter.empty and not _is_run(first):
        raise DefinitionError(f"{label}: the first parameter is a quarterdeck.Run, not {first!r}")
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


def _is_run(annotation: Any) -> bool:
    return annotation is Any or (isinstance(annotation, type) and issubclass(Run, annotation))
