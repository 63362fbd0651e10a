"""The settings of namespaces over a real channel: retention and quarantine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.duration_pb2 import Duration

from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck.v1 import hold_pb2, namespace_pb2

from .api import Api, agent, refused, spec
from .conftest import Server
from .test_api_holds import entries, holds, release

DAY = 86_400


async def get(api: Api, namespace: str = "") -> namespace_pb2.Namespace:
    """The settings of a namespace."""
    request = pb.GetNamespaceRequest(namespace=namespace)
    response: pb.GetNamespaceResponse = await api.fleet.GetNamespace(request)
    return response.namespace


async def update(api: Api, **changes: Any) -> namespace_pb2.Namespace:
    """Change the settings of the default namespace."""
    request = pb.UpdateNamespaceRequest(**changes)
    response: pb.UpdateNamespaceResponse = await api.fleet.UpdateNamespace(request)
    return response.namespace


def days(settings: namespace_pb2.Namespace) -> list[float]:
    """How long what succeeded, failed, was cancelled, expired is kept."""
    kept = settings.effective_retention
    spans = (kept.succeeded, kept.failed, kept.cancelled, kept.expired)
    return [span.ToTimedelta().total_seconds() / DAY for span in spans]


async def test_a_namespace_that_was_never_set_has_the_servers_settings(api: Api) -> None:
    settings = await get(api, "other")
    assert settings.name == "other"
    assert days(settings) == [7, 30, 7, 7], "failures are kept longer than successes"
    assert not settings.HasField("retention"), "what is read can be written back"
    assert settings.quarantine == namespace_pb2.QuarantineRules()


async def test_what_is_not_given_stays_as_it_is(api: Api) -> None:
    first = await update(api, retention={"succeeded": Duration(seconds=DAY)}, actor="ann")
    assert days(first) == [1, 30, 7, 7]
    second = await update(api, quarantine={"task_name": 3, "agent": 4}, reason="careful")
    assert days(second) == [1, 30, 7, 7]
    assert (second.quarantine.task_name, second.quarantine.agent) == (3, 4)
    third = await update(api, retention={"expired": Duration()})
    assert days(third) == [7, 30, 7, 0], "all of a part that is given, nothing of the other"
    assert third.quarantine == second.quarantine
    assert await get(api) == third
    assert days(await get(api, "other")) == [7, 30, 7, 7]
    told = [(e.action, e.actor, e.reason, e.target) for e in await entries(api)]
    assert told[1:] == [
        ("UpdateNamespace", "unknown", "careful", "default"),
        ("UpdateNamespace", "ann", "", "default"),
    ]


async def test_settings_outlive_the_server(make_server: Callable[..., Server]) -> None:
    for expected in (0, 1):
        server = await make_server().start()
        try:
            assert (await get(server.api)).quarantine.task_name == expected
            await update(server.api, quarantine={"task_name": 1})
        finally:
            await server.stop()


async def test_what_is_wrong_is_named(api: Api) -> None:
    error = await refused(
        update(
            api,
            retention={"succeeded": Duration(seconds=-1), "failed": Duration(seconds=3651 * DAY)},
            quarantine={"task_name": -1, "agent_version": 1_000_001},
            reason="x" * 1025,
        )
    )
    assert error.fields.keys() == {
        "retention.succeeded",
        "retention.failed",
        "quarantine.task_name",
        "quarantine.agent_version",
        "reason",
    }
    assert "3650 days" in error.fields["retention.failed"]


async def test_a_name_that_fails_in_a_row_is_held_until_it_is_released(api: Api) -> None:
    await update(api, quarantine={"task_name": 3})
    no_retry = {"retry": {"max_attempts": 1}}
    await api.submit(*[spec("mail", **no_retry) for _ in range(4)], spec("work"))
    for _ in range(3):
        task = await api.claim_one(names=["mail"])
        await api.report(task, failed={"failure": {"type": "SmtpError", "message": "no route"}})
    (hold,) = await holds(api)
    assert (hold.kind, hold.subject) == (hold_pb2.HOLD_KIND_TASK_NAME, "mail")
    assert hold.quarantined and hold.actor == "server"
    assert hold.reason.endswith("SmtpError: no route")
    assert (await entries(api))[0].action == "Quarantine"
    assert [task.name for task in (await api.claim()).tasks] == ["work"]
    await release(api, hold_pb2.HOLD_KIND_TASK_NAME, "mail")
    assert (await api.claim_one()).name == "mail"


async def test_a_version_that_fails_in_a_row_is_held_with_all_its_agents(api: Api) -> None:
    await update(api, quarantine={"agent_version": 2})
    await api.submit(*[spec(f"work-{n}") for n in range(4)])
    for number in (1, 2):
        info = agent(f"agent-{number}", version="2.0")
        task = await api.claim_one(info.agent_id, agent=info)
        failed = {"failure": {"type": "Bug"}}
        await api.report(task, info.agent_id, failed=failed)
    (hold,) = await holds(api)
    assert hold.subject == "tester@2.0"
    assert not (await api.claim("agent-3", agent=agent("agent-3", version="2.0"), wait={})).tasks
    assert (await api.claim("agent-4", agent=agent("agent-4", version="2.1"))).tasks
