"""StreamService: calls as messages of a stream."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest

from quarterdeck.v1 import stream_service_pb2, stream_service_pb2_grpc
from quarterdeck_server.rpc import methods

from .api import Api, agent, agents_pb, new_request_id, refused, spec, tasks_pb
from .conftest import Server

pb: Any = stream_service_pb2


def streams(api: Api) -> Any:
    return stream_service_pb2_grpc.StreamServiceStub(api.channel)


def submit(*specs: Any, **request: Any) -> Any:
    return pb.StreamSubmitRequest(request=tasks_pb.SubmitRequest(tasks=specs, **request))


async def test_every_message_is_answered_as_its_call_would_be(api: Api) -> None:
    stream = streams(api).StreamSubmit()
    ids = []
    for name in ("first", "second"):
        await stream.write(submit(spec(name)))
        ids.append((await stream.read()).response.results[0].task_id)
    assert [(await api.get(task_id)).task.name for task_id in ids] == ["first", "second"]


async def test_request_that_is_repeated_on_another_stream_submits_nothing(api: Api) -> None:
    request = submit(spec(), request_id=new_request_id())
    answers = []
    for _ in range(2):
        stream = streams(api).StreamSubmit()
        await stream.write(request)
        answers.append(await stream.read())
        stream.cancel()
    assert answers[0] == answers[1]


async def test_refused_message_ends_its_stream_with_the_status_of_the_call(api: Api) -> None:
    stream = streams(api).StreamSubmit()
    await stream.write(submit(*[spec()] * 5001))
    assert (await refused(stream.read())).reason == "LIMIT_EXCEEDED"


async def test_agent_can_live_on_streams(api: Api) -> None:
    await api.submit(spec())
    claims, beats, reports = (
        getattr(streams(api), f"Stream{name}")() for name in ("Claim", "Heartbeat", "Report")
    )
    claim = agents_pb.ClaimRequest(agent=agent(), max_tasks=1)
    await claims.write(pb.StreamClaimRequest(request=claim))
    (task,) = (await claims.read()).response.tasks
    beat = {"task_id": task.task_id, "lease_token": task.lease_token}
    await beats.write(pb.StreamHeartbeatRequest(request={"agent": agent(), "leases": [beat]}))
    assert not (await beats.read()).response.directives
    report = {"agent_id": agent().agent_id, "reports": [{**beat, "succeeded": {}}]}
    await reports.write(pb.StreamReportRequest(request=report))
    (result,) = (await reports.read()).response.results
    assert not result.HasField("error")


async def test_claim_whose_stream_was_cut_is_answered_again_by_a_call(api: Api) -> None:
    await api.submit(spec())
    claim = agents_pb.ClaimRequest(agent=agent(), max_tasks=1, request_id=new_request_id())
    stream = streams(api).StreamClaim()
    await stream.write(pb.StreamClaimRequest(request=claim))
    (given,) = (await stream.read()).response.tasks
    stream.cancel()
    (again,) = (await api.agents.Claim(claim)).tasks
    assert again.lease_token == given.lease_token


async def test_stream_ends_between_two_messages_before_its_connection_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "MAX_CONNECTION_AGE", 0.0)
    stream = streams(api).StreamSubmit()
    # Nothing is sent: a message that crosses the end fails in the client, in one way or another.
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is grpc.StatusCode.OK


async def test_stop_does_not_wait_for_a_stream_without_a_call(server: Server) -> None:
    stream = streams(server.api).StreamSubmit()
    await stream.write(submit(spec()))
    await stream.read()
    reading = asyncio.ensure_future(stream.read())
    assert server.rpc is not None
    start = time.monotonic()
    await server.rpc.stop(20.0)
    assert time.monotonic() - start < 10
    with pytest.raises(grpc.aio.AioRpcError):
        await reading
