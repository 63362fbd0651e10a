"""A window on a long list: pages come and go, changes find their place, nothing grows for ever."""

from __future__ import annotations

import random

import pytest
from tests.console.speech import stamp, task_id

from quarterdeck.v1 import task_pb2
from quarterdeck_console.model.rows import TaskRow
from quarterdeck_console.model.window import CAPACITY, Order, Window

PAGE = 250


def row(number: int, revision: int = 1, **fields: int) -> TaskRow:
    """The n-th task, created n seconds after the epoch."""
    task = task_pb2.Task(id=task_id(number), revision=revision, name=f"n{number % 7}", **fields)  # type: ignore[arg-type]
    stamp(task.create_time, number)
    return TaskRow.of(task)


class Server:
    """A list of tasks by creation, the newest first, that hands out pages."""

    def __init__(self, numbers: int) -> None:
        self.rows = {number: row(number) for number in range(1, numbers + 1)}

    def page(self, token: str, size: int = PAGE) -> tuple[list[TaskRow], str]:
        after = int(token) if token else max(self.rows) + 1
        numbers = sorted((n for n in self.rows if n < after), reverse=True)
        page = numbers[:size]
        return [self.rows[n] for n in page], str(page[-1]) if len(numbers) > size else ""


def begun(server: Server) -> Window:
    window = Window(Order())
    window.restart(*server.page(""))
    window.arrange()
    return window


def forward(window: Window, server: Server) -> None:
    token = window.next_token
    assert token is not None
    window.append(token, *server.page(token))
    window.arrange()


def backward(window: Window, server: Server) -> None:
    token = window.previous_token
    assert token is not None
    window.prepend(token, server.page(token)[0])
    window.arrange()


def numbers(window: Window) -> list[int]:
    return [int(window.rows[key].created) for key in window.ids]


def test_the_window_walks_to_the_end_and_back_without_growing() -> None:
    server = Server(5_000)
    window = begun(server)
    while not window.at_end:
        forward(window, server)
        assert len(window.rows) <= CAPACITY
        held = numbers(window)
        assert held == list(range(held[0], held[-1] - 1, -1))
    assert numbers(window)[-1] == 1
    while not window.at_start:
        backward(window, server)
        assert len(window.rows) <= CAPACITY
        held = numbers(window)
        assert held == list(range(held[0], held[-1] - 1, -1))
    assert numbers(window)[0] == 5_000


def test_a_new_row_at_the_start_is_shown_at_once() -> None:
    window = begun(Server(1_000))
    window.change(row(1_001))
    window.arrange()
    assert numbers(window)[0] == 1_001


def test_a_row_beyond_the_window_is_left_to_the_server() -> None:
    server = Server(5_000)
    window = begun(server)
    assert not window.wants(task_id(7), 7.0)
    window.change(row(7, 2))
    assert task_id(7) not in window.rows
    for _ in range(5):
        forward(window, server)
    assert not window.at_start
    window.change(row(6_000))
    assert task_id(6_000) not in window.rows
    assert window.newer == 1


def test_an_older_version_never_replaces_a_newer_one() -> None:
    window = begun(Server(10))
    window.change(row(5, 9, attempt=3))
    window.change(row(5, 8, attempt=2))
    assert window.rows[task_id(5)].attempt == 3


def test_a_flood_at_the_start_lets_go_of_the_end_and_lists_it_again_when_wanted() -> None:
    server = Server(1_000)
    window = begun(server)
    for number in range(1_001, 4_500):
        server.rows[number] = row(number)
        window.change(server.rows[number])
        if number % 50 == 0:
            window.arrange()
    window.arrange()
    assert len(window.rows) <= CAPACITY * 2
    assert numbers(window)[0] == 4_499
    assert window.tail_lost and not window.at_end and window.next_token is None


def test_a_late_answer_is_ignored() -> None:
    server = Server(2_000)
    window = begun(server)
    token = window.next_token
    assert token is not None
    page = server.page(token)
    window.append(token, *page)
    before = dict(window.rows)
    window.append(token, *page)
    window.prepend("elsewhere", page[0])
    assert window.rows == before


@pytest.mark.parametrize(
    "field", ["create_time", "name", "priority", "state", "run_time", "end_time"]
)
@pytest.mark.parametrize("descending", [True, False])
def test_rows_stand_in_the_order_asked_for(field: str, descending: bool) -> None:
    order = Order(field, descending)
    rows = [row(number, priority=number % 10) for number in range(100)]
    random.Random(7).shuffle(rows)
    window = Window(order)
    window.restart(rows, "")
    window.arrange()
    keys = [order.key(window.rows[key]) for key in window.ids]
    assert keys == sorted(keys, reverse=descending)
    assert order.text == (f"{field} desc" if descending else field)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order: expected one of"):
        Order("colour")


def test_a_dropped_row_is_gone() -> None:
    window = begun(Server(10))
    window.drop(task_id(5))
    window.arrange()
    assert 5 not in numbers(window)
