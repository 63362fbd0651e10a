"""Partial updates and etags over a real channel: what is not meant stays, nobody overwrites what is new to him."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from quarterdeck.v1 import namespace_pb2, queue_pb2

from .api import Api, fleet_pb, refused
from .test_api_holds import entries
from .test_api_limits import LIMITS
from .test_api_limits import update as update_queue
from .test_api_namespaces import get as get_namespace
from .test_api_namespaces import update as update_namespace

DROP = queue_pb2.ARRIVAL_POLICY_DROP


def mask(*paths: str) -> FieldMask:
    """What an update is about."""
    return FieldMask(paths=paths)


async def listed(api: Api) -> queue_pb2.Queue:
    """The only queue, as it is listed."""
    (queue,) = (await api.fleet.ListQueues(fleet_pb.ListQueuesRequest())).queues
    found: queue_pb2.Queue = queue
    return found


async def test_the_second_of_two_operators_is_refused(api: Api) -> None:
    seen = await update_queue(api, limits=LIMITS)
    first = await update_queue(api, limits={"ageing": {"seconds": 1}}, etag=seen.etag)
    error = await refused(update_queue(api, limits={"ageing": {"seconds": 2}}, etag=seen.etag))
    assert (error.reason, error.code) == ("ETAG_MISMATCH", 10)
    assert error.metadata == {"queue": "default"}
    assert error.message == (
        "queue 'default' was changed meanwhile; read it again, and send the etag that it has now"
    )
    assert await listed(api) == first
    again = await update_queue(api, limits={"ageing": {"seconds": 2}}, etag=first.etag)
    assert again.limits.ageing.seconds == 2
    done = [entry.done for entry in await entries(api)]
    assert done == [1, 0, 1, 1], "the audit log has the refused update as not done"


@pytest.mark.parametrize(
    "change",
    [
        {"paused": True},
        {"paused": True, "reason": "lunch"},
        {"limits": {"ageing": {"seconds": 1}}},
        {"paused_arrivals": DROP},
    ],
)
async def test_whatever_an_operator_sets_of_a_queue_changes_its_etag(
    api: Api, change: dict[str, Any]
) -> None:
    before = await update_queue(api)
    after = await update_queue(api, **change)
    assert after.etag not in ("", before.etag)
    assert (await update_queue(api, **change)).etag == after.etag, "the same again is no change"


async def test_tasks_leave_the_etag_of_their_queue_as_it_is(api: Api) -> None:
    before = await update_queue(api, paused_arrivals=DROP)
    await api.submit()
    after = await listed(api)
    assert after.revision > before.revision
    assert after.etag == before.etag
    await update_queue(api, paused=True, etag=before.etag)


async def test_a_queue_that_was_never_used_has_the_etag_of_one_without_settings(api: Api) -> None:
    plain = await update_queue(api)
    await update_queue(api, "other", limits=LIMITS, etag=plain.etag)
    error = await refused(update_queue(api, "third", limits=LIMITS, etag="of nothing"))
    assert error.reason == "ETAG_MISMATCH"
    names = [q.name for q in (await api.fleet.ListQueues(fleet_pb.ListQueuesRequest())).queues]
    assert names == ["default", "other"], "a refused update creates no queue"


async def test_one_limit_is_changed_without_the_others(api: Api) -> None:
    await update_queue(api, limits=LIMITS, paused_arrivals=DROP)
    asked = {"rate": {"units": 7, "period": {"seconds": 1}}, "ageing": {"seconds": 99}}
    queue = await update_queue(api, limits=asked, paused=True, update_mask=mask("limits.rate"))
    expected = queue_pb2.QueueLimits(**{**LIMITS, "rate": asked["rate"]})
    assert queue.limits == expected, "what the mask does not name is not looked at"
    assert (queue.paused, queue.paused_arrivals) == (False, DROP)


async def test_what_is_named_and_unset_gets_its_default(api: Api) -> None:
    await update_queue(api, limits=LIMITS, paused=True, paused_arrivals=DROP)
    parts = mask("limits.weights", "limits.concurrency", "limits.ageing", "paused_arrivals")
    queue = await update_queue(api, update_mask=parts)
    kept = {name: LIMITS[name] for name in ("concurrency_per_key", "rate", "rate_per_key")}
    assert queue.limits == queue_pb2.QueueLimits(**kept)
    assert (queue.paused, queue.paused_arrivals) == (True, queue_pb2.ARRIVAL_POLICY_QUEUE)
    resumed = await update_queue(api, update_mask=mask("paused", "limits"))
    assert not resumed.paused
    assert not resumed.HasField("limits")


async def test_a_star_replaces_everything(api: Api) -> None:
    before = await update_queue(api)
    await update_queue(api, limits=LIMITS, paused=True, paused_arrivals=DROP)
    assert (await update_queue(api, update_mask=mask("*"))).etag == before.etag
    await update_namespace(api, quarantine={"agent": 3}, retention={"failed": Duration(seconds=5)})
    settings = await update_namespace(api, quarantine={"agent": 4}, update_mask=mask("*"))
    assert settings.quarantine == namespace_pb2.QuarantineRules(agent=4)
    assert not settings.HasField("retention")


@pytest.mark.parametrize(
    "path",
    [
        "limit",
        "limits.rates",
        "limits.rate.units",
        "limits.",
        "limits..rate",
        "limits.rate.",
        ".limits",
        "limits.*",
        "*.rate",
        "paused.",
        " limits",
        ".",
        "queue",
        "",
    ],
)
async def test_a_path_that_cannot_be_updated_is_refused(api: Api, path: str) -> None:
    error = await refused(update_queue(api, limits=LIMITS, update_mask=mask("paused", path)))
    assert error.fields["update_mask"] == (
        "expected paused, paused_arrivals, limits, limits.concurrency, limits.concurrency_per_key, "
        f"limits.rate, limits.rate_per_key, limits.ageing, limits.weights or *, got {path!r}"
    )


@pytest.mark.parametrize("path", ["limits.", "nothing"])
async def test_a_star_excuses_no_other_path(api: Api, path: str) -> None:
    before = await update_queue(api, limits=LIMITS)
    error = await refused(update_queue(api, update_mask=mask("*", path)))
    assert error.fields["update_mask"].endswith(f"got {path!r}")
    assert (await update_queue(api)).etag == before.etag


@pytest.mark.parametrize("path", ["retention.", ".retention", "retention..failed", "quarantine.*"])
async def test_a_path_of_a_namespace_that_cannot_be_updated_is_refused(api: Api, path: str) -> None:
    error = await refused(update_namespace(api, update_mask=mask(path)))
    assert error.fields["update_mask"].endswith(f"got {path!r}")


async def test_what_a_mask_does_not_name_is_not_checked(api: Api) -> None:
    wrong = {"rate": {"units": -1}, "concurrency": {"limit": 2}}
    queue = await update_queue(api, limits=wrong, update_mask=mask("limits.concurrency"))
    assert queue.limits.concurrency.limit == 2
    error = await refused(update_queue(api, limits=wrong, update_mask=mask("limits.rate")))
    assert set(error.fields) == {"limits.rate.units"}


async def test_one_setting_of_a_namespace_is_changed_without_the_others(api: Api) -> None:
    day = Duration(seconds=86_400)
    await update_namespace(
        api, retention={"failed": day, "expired": day}, quarantine={"task_name": 3, "agent": 4}
    )
    parts = mask("retention.failed", "quarantine.agent")
    settings = await update_namespace(api, quarantine={"task_name": 9}, update_mask=parts)
    assert not settings.retention.HasField("failed")
    assert settings.retention.expired == day
    assert settings.quarantine == namespace_pb2.QuarantineRules(task_name=3)


async def test_settings_that_were_changed_meanwhile_are_not_overwritten(api: Api) -> None:
    seen = await get_namespace(api)
    first = await update_namespace(api, quarantine={"agent": 1}, etag=seen.etag)
    error = await refused(update_namespace(api, quarantine={"agent": 2}, etag=seen.etag))
    assert (error.reason, error.metadata) == ("ETAG_MISMATCH", {"namespace": "default"})
    assert await get_namespace(api) == first
    again = await update_namespace(api, quarantine={"agent": 2}, etag=first.etag)
    assert again.quarantine.agent == 2
    assert len({seen.etag, first.etag, again.etag}) == 3
