"""What can be registered, and what is refused at decoration."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import pytest

from quarterdeck import Agent, DefinitionError, Run
from quarterdeck.testing import FakeRun


def test_decorated_handler_stays_the_function_it_was() -> None:
    agent = Agent("a")

    def handler(run: Run, number: int) -> int:
        return number + 1

    assert agent.task(handler) is handler
    assert agent.task(name="b")(handler) is handler
    assert list(agent.handlers) == ["handler", "b"]


def test_annotations_may_name_classes_of_the_enclosing_function() -> None:
    agent = Agent("a")

    @dataclass
    class Inner:
        number: int

    @dataclass
    class Outer:
        inner: Inner

    @agent.task
    def plain(run: Run, value: Outer) -> None: ...

    @agent.task(name="named")
    def named(run: Run, value: Outer | None = None) -> None: ...

    for handler in agent.handlers.values():
        assert handler.decode(b'{"inner": {"number": 1}}') == Outer(Inner(1))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(): ...", r"expected \(run\) or \(run, input\)"),
        ("def f(run: Run, a: int, b: int): ...", r"expected \(run\) or \(run, input\)"),
        ("def f(run: Run, a: int, *, b: int): ...", r"expected \(run\) or \(run, input\)"),
        ("def f(run: int): ...", "the first parameter is a quarterdeck.Run"),
        ("def f(run: Run, a: socket): ...", "has no JSON form"),
        ("def f(run: Run, a: Missing): ...", "'Missing' is not defined"),
        ("def f(run: Run): yield", "cannot yield"),
        ("async def f(run: Run): yield", "cannot yield"),
    ],
)
def test_signature_that_cannot_work_is_refused(source: str, message: str) -> None:
    scope: dict[str, Any] = {"Run": Run, "socket": complex}
    exec(source, scope)
    with pytest.raises(DefinitionError, match=message):
        Agent("a").task(scope["f"])


def test_field_of_a_dataclass_that_cannot_be_decoded_is_named() -> None:
    @dataclass
    class Order:
        due: list[dt.time]

    @dataclass
    class Cart:
        order: Order

    def pack(run: Run, cart: Cart) -> None: ...

    message = r"pack: Cart\.order: Order\.due: datetime\.time has no JSON form; use"
    with pytest.raises(DefinitionError, match=message):
        Agent("a").task(pack)


@pytest.mark.parametrize("name", ["two words", "é", "a" * 257])
def test_task_name_that_the_wire_refuses_is_refused(name: str) -> None:
    with pytest.raises(DefinitionError, match="name: expected"):
        Agent("a").task(name=name)(lambda run: None)


def test_name_in_the_place_of_the_function_is_put_right() -> None:
    with pytest.raises(DefinitionError, match=r"for a name, task\(name='research'\)"):
        Agent("a").task("research")  # type: ignore[call-overload]


def test_second_handler_of_a_name_is_refused() -> None:
    agent = Agent("a")
    agent.task(name="x")(lambda run: None)
    with pytest.raises(DefinitionError, match="x: there is a handler"):
        agent.task(name="x")(lambda run: None)


def test_process_isolation_needs_a_function_that_a_child_can_import() -> None:
    def local(run: Run) -> None: ...

    with pytest.raises(DefinitionError, match="only a function of a module"):
        Agent("a").task(isolation="process")(local)


def test_isolation_of_another_kind_is_refused() -> None:
    with pytest.raises(DefinitionError, match="isolation: expected 'process'"):
        Agent("a").task(name="x", isolation="container")(lambda run: 1)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "options",
    [
        *({"name": ""}, {"name": 8}, {"name": "a@1"}, {"slots": 0}, {"slots": "8"}),
        *({"queues": "default"}, {"queues": []}, {"queues": ["two words"]}),
        *({"labels": {"": "x"}}, {"labels": {"x": 1}}, {"labels": {"x": "y" * 257}}),
        {"labels": {str(n): "" for n in range(65)}},
    ],
)
def test_agent_that_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=f"{next(iter(options))}: expected"):
        Agent(**{"name": "a", **options})


def test_missing_input_uses_the_default_of_the_parameter() -> None:
    agent = Agent("a")

    @agent.task
    def f(run: Run, number: int = 7) -> int:
        return number

    run = FakeRun()
    assert agent.handlers["f"].arguments(run, b"") == (run, 7)
    assert run.input == 7
