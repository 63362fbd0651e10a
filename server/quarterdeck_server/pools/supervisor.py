"""Keeps every pool as its settings want it. The one service of this package that runs.

Each pass looks at the queue and the agents of every pool, asks `plan` what to do, and does it. An
instance is persisted before it is started, and again with its process id right after, so that a
server that is killed at any moment finds all of them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Coroutine, Iterator, Mapping, Sequence

from quarterdeck_server.config import PoolSettings
from quarterdeck_server.engine.pools import Instance, InstanceState
from quarterdeck_server.logs import Log
from quarterdeck_server.pools.host import Host
from quarterdeck_server.pools.launcher import Handle, Launcher, LaunchError, Order
from quarterdeck_server.pools.members import Group, Member
from quarterdeck_server.pools.plan import Drain, Start, Stop, Terminate, plan, stops
from quarterdeck_server.runtime.clock import Clock

_TICK = 1.0
_SHORTEST_PAUSE = 0.05
_KILL_TIMEOUT = 5.0

_log = Log(__name__)


class PoolSupervisor:
    """Starts, watches and stops the instances of the pools in the settings.

    Args:
        pools: The pools.
        host: The server.
        launchers: By their name in the settings.
        clock: Times for rows and for waits.
        server: Address that agents on this machine reach the server at.
        grace: Seconds from asking an instance to end to ending it by force.
    """

    def __init__(
        self,
        pools: Sequence[PoolSettings],
        host: Host,
        launchers: Mapping[str, Launcher],
        clock: Clock,
        *,
        server: str,
        grace: float,
    ) -> None:
        self._groups = {pool.name: (pool, Group()) for pool in pools}
        self._orphans = Group()
        self._host = host
        self._launchers = launchers
        self._clock = clock
        self._server = server
        self._grace = grace
        self._wake = asyncio.Event()
        self._pass = asyncio.Lock()
        self._closing = False
        self._runner: asyncio.Task[None] | None = None
        self._watchers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Take over what an earlier server started, and begin."""
        for row in await self._host.list_instances():
            await self._adopt(row)
        statuses = []
        for settings, group in self._groups.values():
            group.status = group.current_status(settings, self._clock.monotonic())
            statuses.append(group.status)
        await self._host.save_pools(statuses, replace=True)
        self._runner = asyncio.create_task(self._run(), name="pools")

    async def stop(self) -> None:
        """Stop every instance and wait until all have ended.

        The agents report and release what they hold meanwhile, so the API must still be served.
        """
        self._closing = True
        self._wake.set()
        if self._runner is not None:
            await self._runner
        now = self._clock.monotonic()
        for member in self._members():
            if member.terminated is None and not member.killed:
                member.terminate("the server stops", now)
        await self._settle_all()
        await self._wait_for_ends(self._grace)
        for member in self._members():
            if member.ended is None:
                member.kill(f"did not end within {self._grace:g} s")
        await self._wait_for_ends(_KILL_TIMEOUT)
        await self._settle_all()
        for member in self._members():
            if member.ended is None:
                _log.error("instance outlives the server", instance=member.row.id)
        for watcher in self._watchers:
            watcher.cancel()

    def poke(self) -> None:
        """Look again soon: work, agents or pools have changed. Cheap; must run on the loop."""
        self._wake.set()

    async def kill_agent(self, namespace: str, agent_id: str, why: str) -> bool:
        """End the instance of an agent by force. It is replaced if it is needed.

        Returns:
            False when no pool started the agent, or its instance has ended.
        """
        member = await self._find(namespace, agent_id)
        if member is None or member.ended is not None:
            return False
        _log.warning("instance killed", instance=member.row.id, agent=agent_id, why=why)
        member.change(state=int(InstanceState.STOPPING), detail=why)
        member.kill(why)
        await self._save(member)
        return True

    async def reconcile(self) -> None:
        """One pass over every pool; a failure in one does not hold up the others."""
        async with self._pass:
            for settings, group in self._groups.values():
                await self._guarded(settings.name, self._reconcile(settings, group))
            await self._guarded("", self._retire_orphans())

    async def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            await self.reconcile()
            # However often it is poked: a pass costs the store some reads.
            await asyncio.sleep(_SHORTEST_PAUSE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _TICK)

    async def _reconcile(self, settings: PoolSettings, group: Group) -> None:
        await self._settle(group)
        group.observe(await self._host.agents_of(settings.name), self._clock.monotonic())
        load = await self._host.queue_load(settings.namespace, settings.queue)
        now = self._clock.monotonic()
        for action in plan(settings, load.ready, group.units(), group.health, self._grace, now):
            if isinstance(action, Start):
                await self._start_some(settings, group, action.number)
            else:
                await self._apply(group, action)
            self._wake.set()  # one step often allows the next
        await self._settle(group)
        status = group.current_status(settings, self._clock.monotonic())
        if status != group.status:
            await self._host.save_pools([status], replace=False)
            group.status = status

    async def _retire_orphans(self) -> None:
        group = self._orphans
        await self._settle(group)
        pools = {member.row.pool for member in group.members.values()}
        agents = [agent for pool in pools for agent in await self._host.agents_of(pool)]
        now = self._clock.monotonic()
        group.observe(agents, now)
        actions: list[Stop] = [
            Drain(member.row.id, "its pool is not in the settings")
            for member in group.members.values()
            if member.row.state != InstanceState.STOPPING
        ]
        for action in actions or stops(group.units(), self._grace, now):
            await self._apply(group, action)
            self._wake.set()
        await self._settle(group)

    async def _apply(self, group: Group, action: Stop) -> None:
        member = group.members[action.id]
        _log.info("instance stopping", instance=action.id, why=action.why)
        now = self._clock.monotonic()
        if isinstance(action, Drain):
            if member.row.agent_id is not None:
                await self._host.drain(member.agent_namespace, member.row.agent_id)
            member.retire(action.why)
            return
        if action.crash:
            group.note_crash(action.why, now, self._clock.now())
            member.crashed = True
        if isinstance(action, Terminate):
            member.terminate(action.why, now)
        else:
            member.kill(action.why)

    async def _start_some(self, settings: PoolSettings, group: Group, number: int) -> None:
        for _ in range(number):
            if self._closing or not await self._start_one(settings, group):
                break

    async def _start_one(self, settings: PoolSettings, group: Group) -> bool:
        row = Instance(
            id=f"inst_{secrets.token_hex(8)}",
            namespace=settings.namespace,
            pool=settings.name,
            state=int(InstanceState.STARTING),
            agent_id=None,
            pid=None,
            process_start=None,
            create_time=self._clock.now(),
            end_time=None,
            detail=None,
            revision=0,
        )
        # First the row, then the process: a server killed in between looks for it.
        await self._host.save(row)
        try:
            handle = await self._launchers[settings.launcher].start(self._order(settings, row.id))
        except LaunchError as error:
            wall = self._clock.now()
            _log.warning("instance not started", pool=settings.name, reason=str(error))
            group.note_crash(str(error), self._clock.monotonic(), wall)
            group.unstarted.append(
                row._replace(state=int(InstanceState.STOPPED), end_time=wall, detail=str(error))
            )
            return False
        row = row._replace(pid=handle.pid, process_start=handle.process_start)
        member = self._add(group, row, handle)
        _log.info("instance started", pool=settings.name, instance=row.id, pid=row.pid)
        await self._save(member)
        return True

    def _order(self, settings: PoolSettings, instance_id: str) -> Order:
        env = {
            **settings.env,
            "QUARTERDECK_SERVER": self._server,
            "QUARTERDECK_NAMESPACE": settings.namespace,
            "QUARTERDECK_QUEUE": settings.queue,
            "QUARTERDECK_POOL": settings.name,
            "QUARTERDECK_SLOTS": str(settings.slots),
            "QUARTERDECK_INSTANCE_ID": instance_id,
        }
        return Order(instance_id, settings.argv, env, settings.cwd)

    async def _adopt(self, row: Instance) -> None:
        settings, group = self._groups.get(row.pool, (None, self._orphans))
        names = self._launchers if settings is None else (settings.launcher,)
        for name in names:
            handle = await self._launchers[name].adopt(row.id, row.pid, row.process_start)
            if handle is not None:
                _log.info("instance taken over", instance=row.id, pid=handle.pid)
                found = row._replace(pid=handle.pid, process_start=handle.process_start)
                self._add(group, found, handle).saved = found == row
                return
        detail = "; ".join(filter(None, (row.detail, "ended while the server was away")))
        row = row._replace(
            state=int(InstanceState.STOPPED), end_time=self._clock.now(), detail=detail
        )
        await self._host.save(row)

    def _add(self, group: Group, row: Instance, handle: Handle) -> Member:
        now = self._clock.monotonic()
        member = Member(row, handle, started=now)
        if row.state == InstanceState.RUNNING:
            member.running_since = now
        group.members[row.id] = member
        watcher = asyncio.create_task(self._watch(member), name=f"pools:{row.id}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return member

    async def _watch(self, member: Member) -> None:
        member.ended = await member.handle.wait()
        self._wake.set()

    async def _settle(self, group: Group) -> None:
        """Record what has ended, and save what is not."""
        while group.unstarted:
            await self._host.save(group.unstarted[0])
            del group.unstarted[0]
        for member in list(group.members.values()):
            if member.ended is not None and member.row.state != InstanceState.STOPPED:
                self._finish(group, member)
            if not member.saved:
                await self._save(member)
            if member.row.state == InstanceState.STOPPED:
                del group.members[member.row.id]

    def _finish(self, group: Group, member: Member) -> None:
        assert member.ended is not None
        how, why, wall = member.ended.how, member.ended.why, self._clock.now()
        if member.finish(member.ended, wall):
            _log.warning("instance crashed", instance=member.row.id, pool=member.row.pool, how=why)
            group.note_crash(why, self._clock.monotonic(), wall)
        else:
            _log.info("instance ended", instance=member.row.id, pool=member.row.pool, how=how)

    async def _save(self, member: Member) -> None:
        row = member.row
        await self._host.save(row)
        # It may have changed while the save was under way.
        member.saved = member.row is row

    async def _settle_all(self) -> None:
        for group in self._all_groups():
            await self._guarded("", self._settle(group))

    async def _guarded(self, pool: str, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception:
            # Most likely the store is not available. Nothing is lost: the next pass goes on.
            _log.error("pool pass failed", pool=pool)

    async def _wait_for_ends(self, seconds: float) -> None:
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=seconds)

    async def _find(self, namespace: str, agent_id: str) -> Member | None:
        for member in self._members():
            if member.row.agent_id == agent_id and member.agent_namespace == namespace:
                return member
        # Its first call may be younger than the last pass.
        for name, (_, group) in self._groups.items():
            for agent in await self._host.agents_of(name):
                if (agent.namespace, agent.agent_id) == (namespace, agent_id):
                    return group.members.get(agent.instance_id)
        return None

    def _all_groups(self) -> list[Group]:
        return [*(group for _, group in self._groups.values()), self._orphans]

    def _members(self) -> Iterator[Member]:
        for group in self._all_groups():
            yield from list(group.members.values())
