"""What operators and producers do by the clients, against a real server."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator

import pytest

import quarterdeck
from quarterdeck import (
    Affinity,
    AsyncClient,
    Client,
    ConcurrencyLimit,
    Debounce,
    QuarantineRules,
    QueueLimits,
    RateLimit,
    Retention,
    Retry,
    Throttle,
    Unique,
)
from quarterdeck.testing import Server, start_server


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all: each test has a namespace of its own."""
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def client(real: Server, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(real.address, namespace=request.node.name[:64]) as client:
        yield client


def test_a_unique_key_is_taken_until_its_task_has_ended(client: Client) -> None:
    first = client.submit("a", unique="u")
    with pytest.raises(quarterdeck.UniqueKeyTakenError) as refused:
        client.submit("a", unique="u")
    assert refused.value.metadata["task_id"] == first
    assert client.submit("a", unique=Unique("u", policy="return_existing")) == first
    replaced = client.submit("a", unique=Unique("u", policy="replace_pending"))
    assert client.get(first).task.reason == "REPLACED"
    client.cancel(replaced)
    assert client.submit("a", unique="u") != replaced


def test_the_latest_of_a_burst_is_run(client: Client) -> None:
    first = client.submit("a", 1, debounce=Debounce("k", 3600))
    assert client.submit("a", 2, debounce=Debounce("k", 3600)) == first
    payload = client.get(first).input
    assert payload is not None
    assert payload.data == b"2"


def test_so_many_are_let_through_in_a_period(client: Client) -> None:
    throttle = Throttle("k", 3600, limit=2)
    ids = [client.submit("a", throttle=throttle) for _ in range(4)]
    assert ids[1:] == [ids[1]] * 3


def test_a_task_keeps_what_it_was_given(client: Client) -> None:
    task_id = client.submit(
        "a",
        group_key="acme",
        affinity=Affinity(required={"gpu": "a100"}),
        attributes={"cost": 1.5, "urgent": True, "team": "red"},
        retry=Retry(delays=[1, 60]),
    )
    details = client.get(task_id)
    assert details.task.group_key == "acme"
    assert details.task.required_labels == {"gpu": "a100"}
    assert details.task.attributes == {"cost": 1.5, "urgent": True, "team": "red"}
    assert details.retry is not None
    assert details.retry.delays == (1.0, 60.0)


def test_a_task_tells_what_it_takes_prefers_and_was_let_in_by(client: Client) -> None:
    affinity = Affinity({"gpu": "a100"}, {"disk": "fast"}, patience=9)
    details = client.get(client.submit("a", affinity=affinity, units=4, unique=Unique("k")))
    assert details.affinity == affinity
    assert (details.units, details.details) == (4, None)
    assert details.keys == (quarterdeck.TaskKey("unique", "k", True, "active", None),)


def test_a_task_says_why_it_is_not_running(client: Client) -> None:
    assert client.pause_queue("q", "lunch", actor="ann").pause_note == "ann: lunch"
    explanation = client.explain(client.submit("a", queue="q"))
    paused = next(o for o in explanation.obstacles if o.kind == "queue_paused")
    assert "lunch" in paused.message
    assert explanation.summary
    assert explanation.task.state == "ready"


def test_what_somebody_changed_meanwhile_is_not_overwritten(client: Client) -> None:
    seen = client.update_queue("q", limits=QueueLimits(concurrency=ConcurrencyLimit(5)))
    client.update_queue("q", paused=True)
    with pytest.raises(quarterdeck.ConflictError, match="read it again"):
        client.update_queue("q", limits=QueueLimits(), etag=seen.etag)
    (now,) = client.queues("name:q")
    assert now.limits == seen.limits
    assert client.update_queue("q", limits=QueueLimits(), etag=now.etag).limits is None
    settings = client.get_namespace()
    client.update_namespace(quarantine=QuarantineRules(agent=1), etag=settings.etag)
    with pytest.raises(quarterdeck.ConflictError):
        client.update_namespace(quarantine=QuarantineRules(agent=2), etag=settings.etag)


def test_one_limit_is_changed_without_the_others(client: Client) -> None:
    limits = QueueLimits(concurrency=ConcurrencyLimit(5), ageing=60)
    client.update_queue("q", limits=limits)
    rate = QueueLimits(rate=RateLimit(9))
    changed = client.update_queue("q", limits=rate, update_mask=["limits.rate", "limits.ageing"])
    assert changed.limits is not None
    assert (changed.limits.concurrency, changed.limits.ageing) == (limits.concurrency, None)
    assert changed.limits.rate == RateLimit(9, 1.0)
    rules = QuarantineRules(task_name=3, agent=4)
    client.update_namespace(quarantine=rules)
    settings = client.update_namespace(update_mask=["quarantine.agent"])
    assert settings.quarantine == QuarantineRules(task_name=3)
    with pytest.raises(TypeError, match="update_mask: expected a list"):
        client.update_queue("q", update_mask="limits.rate")


def test_an_act_does_what_matches_and_tells_how_far_it_is(client: Client) -> None:
    ids = [done.task_id for done in client.submit_many([quarterdeck.Spec("a")] * 1100)]
    with pytest.raises(quarterdeck.LimitExceededError):
        client.act("name:a", "cancel", max_count=1000).finish()
    assert client.act("name:a", "cancel", max_count=1100, dry_run=True).finish().matched == 1100
    act = client.act("name:a", "cancel", max_count=1100, reason="enough", actor="ann")
    seen = [progress.done for progress in act]
    assert seen == sorted(seen)
    assert len(seen) > 2
    last = act.progress
    assert last is not None
    assert (last.matched, last.done, last.refused, last.complete) == (1100, 1100, 0, True)
    assert client.get(ids[0]).task.state == "cancelled"
    entry = next(client.audit())
    assert (entry.id, entry.actor, entry.done) == (last.audit_id, "ann", 1100)


def test_an_act_is_on_what_the_watch_had_shown(client: Client) -> None:
    seen = client.submit("a")
    with client.watch(["task"], filter="name:a") as watch:
        next(watch)
        later = client.submit("a")
        next(watch)
        token = watch.resume_token
    act = client.act("name:a", "cancel", max_count=1, watch_token=token)
    assert act.finish().done == 1
    assert client.get(seen).task.state == "cancelled"
    assert client.get(later).task.state == "ready"


def test_the_dead_letter_list_is_redriven(client: Client) -> None:
    ids = [client.submit("a") for _ in range(3)]
    assert [outcome.state for outcome in client.cancel(ids)] == ["cancelled"] * 3
    assert client.act("state:cancelled", "retry", max_count=9).finish().done == 3
    assert client.count() == {"ready": 3}


async def test_an_act_is_followed_on_asyncio(real: Server) -> None:
    async with AsyncClient(real.address, namespace="acts") as client:
        await asyncio.gather(*(client.submit("a") for _ in range(20)))
        async with client.act("id:*", "cancel", max_count=20) as act:
            progress = [progress async for progress in act]
        assert (progress[-1].done, progress[-1].complete) == (20, True)
        with pytest.raises(quarterdeck.InvalidArgumentError):
            await client.act("state:nonsense", "cancel", max_count=1).finish()


def test_tasks_are_changed(client: Client) -> None:
    one, two = client.submit("a", labels={"old": "1"}), client.submit("a")
    assert client.update(one, priority=9, queue="fast", labels={"old": "", "new": "1"}) == "ready"
    task = client.get(one).task
    assert (task.priority, task.queue, task.labels) == (9, "fast", {"new": "1"})
    client.cancel(two)
    changed, refused = client.update([one, two], delay=dt.timedelta(hours=1), actor="ann")
    assert (changed.state, changed.error) == ("scheduled", None)
    assert isinstance(refused.error, quarterdeck.WrongStateError)


def test_an_ended_task_is_run_again_with_what_depends_on_it(client: Client) -> None:
    first = client.submit("a", 1)
    client.submit("b", depends_on=[first])
    with pytest.raises(quarterdeck.WrongStateError):
        client.rerun(first)
    client.cancel(first)
    rerun = client.rerun(first, 2, with_dependents=True, reason="mended")
    details = client.get(rerun.task_id)
    assert details.task.rerun_of == first
    assert details.input is not None
    assert details.input.data == b"2"
    (copy,) = rerun.dependent_ids
    assert client.get(copy).depends_on == (rerun.task_id,)
    again, refused = client.rerun([first, rerun.task_id], actor="ann")
    assert client.get(again.task_id).task.rerun_of == again.rerun_of == first
    assert isinstance(refused.error, quarterdeck.WrongStateError)
    with pytest.raises(quarterdeck.InvalidArgumentError, match="input"):
        client.rerun([first, first], 3)  # type: ignore[call-overload]


def test_a_task_that_does_not_run_is_not_paused(client: Client) -> None:
    with pytest.raises(quarterdeck.WrongStateError):
        client.pause(client.submit("a"))
    (outcome,) = client.resume([client.submit("a")])
    assert isinstance(outcome.error, quarterdeck.WrongStateError)


def test_limits_are_kept_as_they_were_given(client: Client) -> None:
    limits = QueueLimits(
        concurrency=ConcurrencyLimit(1, "reject"),
        rate_per_key=RateLimit(100, period=60, burst=200),
        ageing=300,
        weights={"acme": 3},
    )
    assert client.update_queue("q", limits=limits).limits == limits
    client.submit("a", queue="q")
    with pytest.raises(quarterdeck.LimitExceededError):
        client.submit("a", queue="q")
    assert client.update_queue("q", limits=QueueLimits(), reason="enough").limits is None
    client.submit("a", queue="q")


def test_a_freeze_and_holds_are_put_listed_and_ended(client: Client) -> None:
    assert client.freeze("fire", actor="ann").actor == "ann"
    assert client.put_hold("task_name", "a", "bad prompt", arrivals="drop").subject == "a"
    assert {hold.kind for hold in client.holds(page_size=1)} == {"namespace", "task_name"}
    assert client.get(client.submit("a")).task.reason == "DROPPED"
    with client.watch(["hold"]) as watch:
        held = next(watch).resource
    assert isinstance(held, quarterdeck.Hold)
    assert client.thaw()
    assert not client.thaw()
    assert client.release_hold("task_name", "a").reason == "bad prompt"
    with pytest.raises(quarterdeck.HoldNotFoundError):
        client.release_hold("task_name", "a")
    assert list(client.holds()) == []


def test_settings_of_a_namespace_are_kept(client: Client) -> None:
    retention = Retention(failed=dt.timedelta(days=30))
    rules = QuarantineRules(task_name=20, agent=5)
    client.update_namespace(retention=retention, reason="disk", actor="ann")
    client.update_namespace(quarantine=rules)
    settings = client.get_namespace()
    assert settings.quarantine == rules
    assert settings.retention is not None
    assert settings.retention.failed == 30 * 86_400
    assert next(client.audit()).action == "UpdateNamespace"
