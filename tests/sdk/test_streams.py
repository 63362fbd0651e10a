"""Calls over kept streams: with servers that end them, have none, or do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import grpc
import pytest
from grpc import aio

from quarterdeck._control import control
from quarterdeck._streams import Streamed
from quarterdeck.v1 import stream_service_pb2, task_service_pb2

UNARY = "/quarterdeck.v1.TaskService/Submit"
STREAM = "/quarterdeck.v1.StreamService/StreamSubmit"
REQUEST = task_service_pb2.SubmitRequest(request_id="r")
pb: Any = stream_service_pb2

Handler = Callable[[Any, Any], Coroutine[Any, Any, None]]


class Lab:
    """A server with one stream handler, and the call to it. All on the control thread."""

    def __init__(self) -> None:
        self.streams = 0
        self.unary = 0
        self.reached = asyncio.Event()
        """A handler has read what it will not answer."""
        self.ended = asyncio.Event()
        """The stream of that handler is over."""
        self._server: Any = None
        self._channel: Any = None

    async def call(self, handler: Handler | None) -> Streamed:
        """Start; without a handler there are no streams."""
        self._server = aio.server()
        self._server.add_generic_rpc_handlers((self._plain(),))
        if handler is not None:
            self._server.add_generic_rpc_handlers((self._kept(handler),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        self._channel = aio.insecure_channel(f"127.0.0.1:{port}")
        return Streamed(
            self._channel.unary_unary(
                UNARY,
                task_service_pb2.SubmitRequest.SerializeToString,
                task_service_pb2.SubmitResponse.FromString,
            ),
            self._channel.stream_stream(
                STREAM,
                pb.StreamSubmitRequest.SerializeToString,
                pb.StreamSubmitResponse.FromString,
            ),
            pb.StreamSubmitRequest,
        )

    def _plain(self) -> grpc.GenericRpcHandler:
        async def submit(request: Any, context: Any) -> Any:
            self.unary += 1
            return task_service_pb2.SubmitResponse()

        method = grpc.unary_unary_rpc_method_handler(
            submit,
            task_service_pb2.SubmitRequest.FromString,
            task_service_pb2.SubmitResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            "quarterdeck.v1.TaskService", {"Submit": method}
        )

    def _kept(self, handler: Handler) -> grpc.GenericRpcHandler:
        async def stream(_: Any, context: Any) -> None:
            self.streams += 1
            await handler(self, context)

        method = grpc.stream_stream_rpc_method_handler(
            stream,
            pb.StreamSubmitRequest.FromString,
            pb.StreamSubmitResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            "quarterdeck.v1.StreamService", {"StreamSubmit": method}
        )

    async def stop(self) -> None:
        await self._channel.close()
        await self._server.stop(0)


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    made = Lab()
    yield made
    await control().call(made.stop())


async def answer(context: Any) -> bool:
    """Answer one message; False at the end of the stream."""
    if await context.read() is aio.EOF:
        return False
    await context.write(pb.StreamSubmitResponse(response={"results": [{}]}))
    return True


async def answers_all(lab: Lab, context: Any) -> None:
    while await answer(context):
        pass


async def answers_one(lab: Lab, context: Any) -> None:
    await answer(context)


async def cuts_the_second(lab: Lab, context: Any) -> None:
    await answer(context)
    await context.read()
    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


async def answers_but_slow(lab: Lab, context: Any) -> None:
    """Answer with the id of the request, but never to one that is called `slow`."""
    while (message := await context.read()) is not aio.EOF:
        if (request_id := message.request.request_id) == "slow":
            lab.reached.set()
            try:
                await asyncio.Event().wait()
            finally:
                lab.ended.set()
        await context.write(
            pb.StreamSubmitResponse(response={"results": [{"task_id": request_id}]})
        )


async def never(lab: Lab, context: Any) -> None:
    await asyncio.Event().wait()


async def times(lab: Lab, handler: Handler | None, count: int) -> list[int]:
    """Make calls one after the other; how many results each brought."""

    async def run() -> list[int]:
        call = await lab.call(handler)
        return [len((await call(REQUEST, timeout=5)).results) for _ in range(count)]

    return await control().call(run())


async def test_calls_one_after_the_other_share_a_stream(lab: Lab) -> None:
    assert await times(lab, answers_all, 3) == [1, 1, 1]
    assert lab.streams == 1


async def test_calls_at_once_have_a_stream_each(lab: Lab) -> None:
    async def run() -> None:
        call = await lab.call(answers_all)
        for _ in range(2):
            await asyncio.gather(call(REQUEST, timeout=5), call(REQUEST, timeout=5))

    await control().call(run())
    assert lab.streams == 2


@pytest.mark.parametrize("handler", [answers_one, cuts_the_second])
async def test_stream_that_ended_between_calls_is_replaced(lab: Lab, handler: Handler) -> None:
    assert await times(lab, handler, 3) == [1, 1, 1]
    assert lab.streams >= 2


async def test_server_without_streams_gets_calls(lab: Lab) -> None:
    assert await times(lab, None, 2) == [0, 0]
    assert lab.unary == 2


async def test_answer_that_does_not_come_is_a_deadline(lab: Lab) -> None:
    async def run() -> None:
        call = await lab.call(never)
        await call(REQUEST, timeout=0.05)

    with pytest.raises(aio.AioRpcError) as caught:
        await control().call(run())
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("late", [True, False], ids=["late", "cancelled"])
async def test_stream_of_a_call_that_was_given_up_is_ended_and_not_used_again(
    lab: Lab, late: bool
) -> None:
    async def run() -> str:
        call = await lab.call(answers_but_slow)
        await call(REQUEST, timeout=5)
        slow = task_service_pb2.SubmitRequest(request_id="slow")
        calling = asyncio.ensure_future(call(slow, timeout=0.1 if late else 5))
        await lab.reached.wait()
        if not late:
            calling.cancel()
        with pytest.raises(aio.AioRpcError if late else asyncio.CancelledError):
            await calling
        await lab.ended.wait()
        response = await call(REQUEST, timeout=5)
        return str(response.results[0].task_id)

    assert await control().call(run()) == REQUEST.request_id
    assert lab.streams == 2


async def test_fallback_has_what_is_left_of_the_time(lab: Lab) -> None:
    async def run() -> None:
        call = await lab.call(None)
        call._unary = lambda request, timeout: asyncio.Event().wait()
        await call(REQUEST, timeout=0.1)

    with pytest.raises(aio.AioRpcError, match="Deadline"):
        await control().call(run())


async def test_refusal_reaches_the_caller_and_is_not_repeated(lab: Lab) -> None:
    async def refuses(lab: Lab, context: Any) -> None:
        await context.read()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "full", (("why", "disk"),))

    with pytest.raises(aio.AioRpcError, match="full"):
        await times(lab, refuses, 1)
    assert lab.streams == 1
