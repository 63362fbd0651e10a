"""Limits of queues: edited while in use."""

from __future__ import annotations

from quarterdeck_server.engine.commands import UpdateNamespace, UpdateQueue
from quarterdeck_server.engine.etags import namespace_etag, queue_etag
from quarterdeck_server.engine.flow.limits import (
    CANCEL_OLDEST,
    NO_LIMITS,
    Concurrency,
    QueueLimits,
    Rate,
    limits_of,
)
from quarterdeck_server.engine.namespaces import QuarantineRules, Retention

from .bench import Bench
from .make import SECOND

KEY = ("default", "default")
ALL = QueueLimits(
    Concurrency(3, CANCEL_OLDEST),
    Concurrency(1),
    Rate(10, SECOND, 20),
    Rate(1, 60 * SECOND, 0),
    5 * SECOND,
    (("a", 3),),
)


def update(limits: QueueLimits | None = None, drops: bool | None = None) -> UpdateQueue:
    return UpdateQueue("default", "default", None, "", None, limits, drops)


def test_limits_are_kept_until_others_are_set(bench: Bench) -> None:
    bench.do(update(ALL))
    bench.one()
    assert limits_of(bench.driver.queues[KEY].limits) == ALL
    bench.do(UpdateQueue("default", "default", True, "a rest"))
    assert limits_of(bench.driver.queues[KEY].limits) == ALL
    bench.do(update(NO_LIMITS))
    assert bench.driver.queues[KEY].limits is None


def test_an_update_of_some_limits_leaves_the_others(bench: Bench) -> None:
    bench.do(update(ALL))
    other = QueueLimits(Concurrency(9), Concurrency(9), ageing=9 * SECOND)
    queue = bench.do(update(other)._replace(limit_parts=("concurrency", "rate")))
    assert limits_of(queue.limits) == ALL._replace(concurrency=Concurrency(9), rate=Rate())


def test_of_two_updates_in_one_group_the_second_is_refused(bench: Bench) -> None:
    etag = queue_etag(bench.do(update(ALL)))
    first, second = bench.group(
        update(NO_LIMITS)._replace(etag=etag), update(drops=True)._replace(etag=etag)
    )
    assert (first.limits, first.drops) == (None, 0)
    assert (second.reason, second.metadata) == ("ETAG_MISMATCH", (("queue", "default"),))
    assert bench.driver.queues[KEY] == first


def test_settings_of_a_namespace_are_changed_part_by_part(bench: Bench) -> None:
    command = UpdateNamespace("default", Retention(1, 2, 3, 4), QuarantineRules(5, 6, 7))
    etag = namespace_etag(bench.do(command))
    part = UpdateNamespace(
        "default",
        Retention(),
        QuarantineRules(agent=9),
        retention_parts=("failed",),
        quarantine_parts=("agent",),
        etag=etag,
    )
    settings = bench.do(part)
    assert settings == (Retention(1, None, 3, 4), QuarantineRules(5, 9, 7))
    refused = bench.do(part)
    assert (refused.reason, refused.metadata) == ("ETAG_MISMATCH", (("namespace", "default"),))


def test_what_becomes_of_arrivals_is_set_beside_the_limits(bench: Bench) -> None:
    bench.do(update(drops=True))
    bench.do(update(ALL))
    queue = bench.do(update())
    assert (limits_of(queue.limits), queue.drops) == (ALL, 1)
    queue = bench.do(update(drops=False))
    assert (limits_of(queue.limits), queue.drops) == (ALL, 0)
