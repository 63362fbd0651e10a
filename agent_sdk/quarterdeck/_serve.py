"""Putting an agent to work."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from types import FrameType

from quarterdeck._agent import Agent
from quarterdeck._child import CHILD_NAME
from quarterdeck._claims import MOST_NAMES
from quarterdeck._control import control
from quarterdeck._environment import Post, post_of, resolve_address, resolve_namespace
from quarterdeck._errors import DefinitionError
from quarterdeck._link import Link
from quarterdeck._session import Session
from quarterdeck.v1.agent_pb2 import AgentInfo

logger = logging.getLogger("quarterdeck")

_STUCK_SECONDS = 2.0


def serve(
    agent: Agent,
    address: str | None = None,
    *,
    namespace: str | None = None,
    grace: float = 30.0,
) -> None:
    """Run an agent until SIGTERM or SIGINT, or until its pool drains it.

    On the signal it claims no more and lets running handlers finish for `grace` seconds; then
    it cancels them, and gives back what is left, which costs those tasks no attempt. A second
    signal ends the grace. A server that is away is waited for.

    Args:
        agent: The agent.
        address: `host:port` of the server; by default `QUARTERDECK_SERVER` of the environment,
            else `127.0.0.1:7400`.
        namespace: Tenant; by default `QUARTERDECK_NAMESPACE`, else `default`.
        grace: Seconds that running handlers have to finish.

    Raises:
        DefinitionError: The agent has no handler.
        ApiError: The server will never accept this agent.
        RuntimeError: Called where it cannot work: on a running loop, or as a child process
            imports the main module.
    """
    _refuse_to_serve_here()
    service = _Service(agent, address, namespace, grace)
    with _signals(service), service.owning_process():
        asyncio.run(service.run())


async def serve_async(
    agent: Agent,
    address: str | None = None,
    *,
    namespace: str | None = None,
    grace: float = 30.0,
    stop: asyncio.Event | None = None,
) -> None:
    """Run an agent beside other things on the running loop; otherwise like `serve`.

    Installs no signal handlers. It stops in good order when `stop` is set, and without any
    grace when it is cancelled.

    Args:
        agent: The agent.
        address: `host:port` of the server.
        namespace: Tenant.
        grace: Seconds that running handlers have to finish.
        stop: Set it to stop the agent.

    Raises:
        DefinitionError: The agent has no handler.
        ApiError: The server will never accept this agent.
    """
    service = _Service(agent, address, namespace, grace)
    waiting = None if stop is None else asyncio.create_task(_stop_when(stop, service))
    try:
        await service.run()
    finally:
        if waiting is not None:
            waiting.cancel()


class _Service:
    """One agent at work, seen from the loop that its handlers run on."""

    def __init__(
        self, agent: Agent, address: str | None, namespace: str | None, grace: float
    ) -> None:
        if not agent.handlers:
            raise DefinitionError(f"{agent.name}: the agent has no handler to serve")
        if len(agent.handlers) > MOST_NAMES:
            raise DefinitionError(f"{agent.name}: expected at most {MOST_NAMES} handlers")
        self._agent = agent
        self._address = resolve_address(address)
        self._namespace = resolve_namespace(namespace)
        self._post = post_of(agent)
        self._grace = grace
        self._control = control()
        self._session: Session | None = None
        self._stops = 0
        self._at_end: Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def owning_process(self) -> Iterator[None]:
        """See to it that the block ends soon after the work.

        Tasks may have been given back while their handlers go on: blocking the loop, or keeping it
        from closing. They must not go on beside those that run the tasks next.
        """
        timer = threading.Timer(_STUCK_SECONDS, _exit_stuck, (self._agent.name,))
        timer.daemon = True
        self._at_end = timer.start
        try:
            yield
        finally:
            timer.cancel()

    def stop(self) -> None:
        """Ask for the end; a second time, for a quick one. For any thread and signal handler."""
        self._control.soon(self._stop)

    async def run(self) -> None:
        """Work until the end that was asked for."""
        loop = asyncio.get_running_loop()
        work = asyncio.wrap_future(self._control.start(self._work(loop)))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self.stop()
            self.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            raise

    def _stop(self) -> None:
        self._stops += 1
        if self._session is not None:
            self._session.stop()

    async def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        link = await Link.open(self._address)
        try:
            self._session = Session(
                self._control,
                self._agent,
                describe(self._agent, self._post),
                self._post.queues,
                link,
                self._namespace,
                loop,
                self._grace,
            )
            for _ in range(self._stops):
                self._session.stop()
            logger.info("%s serves %s", self._agent.name, self._address)
            await self._session.run()
        finally:
            await link.close()
            self._at_end()


def describe(agent: Agent, post: Post) -> AgentInfo:
    """How this process presents itself; a new id each time."""
    return AgentInfo(
        agent_id=uuid.uuid4().hex,
        name=agent.name,
        version=agent.version[:128],
        hostname=socket.gethostname()[:256],
        pid=os.getpid(),
        slots=post.slots,
        labels=agent.labels,
        instance_id=post.instance_id,
    )


def _refuse_to_serve_here() -> None:
    if multiprocessing.current_process().name == CHILD_NAME:
        raise RuntimeError(
            "serve was called as a handler's process imported the main module: put the call under "
            '`if __name__ == "__main__":`'
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("serve blocks; on a running event loop, await serve_async instead")


def _exit_stuck(name: str) -> None:
    logger.error("%s: a handler does not end; the process is ended", name)
    os._exit(1)


async def _stop_when(stop: asyncio.Event, service: _Service) -> None:
    await stop.wait()
    service.stop()


@contextlib.contextmanager
def _signals(service: _Service) -> Iterator[None]:
    """SIGTERM and SIGINT stop the service, also while a handler blocks the loop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        service.stop()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
