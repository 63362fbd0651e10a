"""Who is in contact: lost, gone, back, drained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quarterdeck_server.engine import commands as c
from quarterdeck_server.engine.changes import AGENT, Change
from quarterdeck_server.engine.states import AgentState
from quarterdeck_server.runtime.agents import CONTACT_WRITTEN, GONE_AFTER, AgentRegistry
from quarterdeck_server.runtime.clock import ManualClock

from ..engine import make
from ..engine.bench import Bench
from ..engine.make import NOW
from ..engine.memory import Memory

LOST_AFTER = 30.0


class Server:
    """A registry before an engine on dicts."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.bench = Bench(Memory(lambda now: 1, lambda: 1))
        self.woken: list[tuple[str, str]] = []
        self.registry = AgentRegistry(
            clock,
            LOST_AFTER,
            self.execute,
            lambda namespace, agent_id: self.woken.append((namespace, agent_id)),
            {"i1": "pool"}.get,
        )

    async def execute(self, command: c.Command) -> Any:
        """Carry out a command and let the registry follow."""
        done = self.bench.driver.run([command], make.waiting([]), self.clock.now())
        self.registry.apply(done.changes)
        return done.replies[0]

    async def write(self) -> None:
        """Write what waits to be written."""
        if self.registry.dirty:
            await self.execute(self.registry.take_dirty())

    async def pass_time(self, seconds: float) -> None:
        """Let time pass on a server that is well."""
        for _ in range(round(seconds)):
            self.clock.advance(1)
            for command in self.registry.silent():
                await self.execute(command)

    def contact(self, agent_id: str = "a1", **changes: Any) -> bool:
        """An agent calls."""
        info = make.agent(agent_id)._replace(**changes)
        return self.registry.contact("default", info, ["default"])

    @property
    def row(self) -> Any:
        """The agent as an operator sees it."""
        return self.bench.driver.agents.get(("default", "a1"))


@pytest.fixture
def server(clock: ManualClock) -> Server:
    """A registry before an empty engine."""
    return Server(clock)


async def test_a_new_agent_is_written_at_its_first_contact(server: Server) -> None:
    assert server.contact(instance_id="i1") is False
    await server.write()
    assert (server.row.state, server.row.pool) == (AgentState.ACTIVE, "pool")
    assert json.loads(server.row.queues) == ["default"]
    assert [row.id for row in server.registry.of_pool("pool")] == ["a1"]


async def test_contact_alone_is_written_now_and_then(server: Server) -> None:
    server.contact()
    await server.write()
    for _ in range(int(CONTACT_WRITTEN)):
        server.clock.advance(1)
        server.contact()
    await server.write()
    assert server.row.last_contact_time > NOW, "soon, so that those who came together spread"
    server.contact(slots=2)
    await server.write()
    for _ in range(int(CONTACT_WRITTEN) - 1):
        server.clock.advance(1)
        server.contact(slots=2)
    assert not server.registry.dirty
    server.clock.advance(1)
    server.contact(slots=2)
    await server.write()
    assert server.row.last_contact_time == server.clock.now()


async def test_the_last_contact_is_known_to_the_moment_though_it_is_not_written(
    server: Server,
) -> None:
    server.contact()
    await server.write()
    for seconds in (20, 7):
        server.clock.advance(seconds)
        server.contact()
    server.clock.advance(3)
    await server.write()
    (known,) = server.registry.handlers("default")
    assert server.clock.now() - known.agent.last_contact_time == 3_000_000
    assert known.agent._replace(last_contact_time=0) == server.row._replace(last_contact_time=0)


async def test_who_has_not_called_since_a_start_was_last_heard_of_before_it(server: Server) -> None:
    server.contact()
    await server.write()
    before = server.row
    server.clock.advance(100)
    again = Server(server.clock)
    again.registry.start([before])
    server.clock.advance(5)
    assert again.registry.seen(before) == before
    again.contact()
    server.clock.advance(2)
    seen = again.registry.seen(before)
    assert server.clock.now() - seen.last_contact_time == 2_000_000


async def test_what_changes_about_an_agent_is_written_at_once(server: Server) -> None:
    server.contact()
    await server.write()
    server.contact(slots=9)
    await server.write()
    assert server.row.slots == 9


async def test_a_silent_agent_is_lost_and_then_gone(server: Server) -> None:
    server.contact()
    await server.write()
    await server.pass_time(LOST_AFTER - 1)
    assert server.row.state == AgentState.ACTIVE
    await server.pass_time(1)
    assert server.row.state == AgentState.LOST
    await server.pass_time(GONE_AFTER - LOST_AFTER)
    assert server.row.state == AgentState.GONE
    assert server.registry.silent() == []


@pytest.mark.parametrize("silence", [LOST_AFTER, GONE_AFTER])
async def test_an_agent_that_calls_again_is_back(server: Server, silence: float) -> None:
    server.contact()
    await server.write()
    created = server.row.create_time
    await server.pass_time(silence)
    server.contact()
    await server.write()
    assert (server.row.state, server.row.create_time) == (AgentState.ACTIVE, created)


async def test_a_lost_agent_that_is_drained_is_lost_again_at_the_next_look(server: Server) -> None:
    server.contact()
    await server.write()
    await server.pass_time(LOST_AFTER)
    await server.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    assert server.row.state == AgentState.DRAINING
    await server.pass_time(1)
    assert server.row.state == AgentState.LOST


async def test_a_stall_of_the_server_loses_no_agent(server: Server) -> None:
    server.contact()
    await server.write()
    await server.pass_time(5)
    server.clock.advance(LOST_AFTER * 3)
    assert server.registry.silent() == []
    await server.pass_time(LOST_AFTER - 6)
    assert server.row.state == AgentState.ACTIVE
    await server.pass_time(1)
    assert server.row.state == AgentState.LOST


async def test_a_jump_of_the_wall_clock_loses_no_agent(server: Server) -> None:
    server.contact()
    await server.write()
    server.clock.jump(86_400)
    assert server.registry.silent() == []


async def test_a_drain_wakes_the_agent_and_survives_its_contacts(server: Server) -> None:
    server.contact()
    await server.write()
    await server.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    assert server.woken == [("default", "a1")]
    assert server.contact() is True
    assert server.contact(slots=3) is True
    server.clock.advance(CONTACT_WRITTEN)
    assert server.contact() is True
    await server.write()
    assert server.row.state == AgentState.DRAINING


async def test_a_drain_survives_that_the_agent_is_lost_and_comes_back(server: Server) -> None:
    server.contact()
    await server.write()
    await server.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    await server.pass_time(LOST_AFTER)
    assert server.row.state == AgentState.LOST
    server.registry.start([server.row])
    assert server.contact() is True, "also when the server was started again meanwhile"
    await server.write()
    assert server.row.state == AgentState.DRAINING


async def test_a_contact_from_before_a_drain_does_not_end_it_after_a_loss(server: Server) -> None:
    server.contact()
    await server.write()
    server.contact(slots=3)
    on_its_way = server.registry.take_dirty()
    for state in (AgentState.DRAINING, AgentState.LOST):
        await server.execute(c.SetAgentState("default", ["a1"], int(state)))
    await server.execute(on_its_way)
    assert server.row.state == AgentState.DRAINING


async def test_an_agent_that_said_goodbye_begins_anew(server: Server) -> None:
    server.contact()
    await server.write()
    await server.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    await server.registry.goodbye("default", "a1")
    assert server.contact() is False
    await server.write()
    assert server.row.state == AgentState.ACTIVE


async def test_an_agent_that_is_drained_when_it_is_gone_stays_so_until_it_comes_back(
    server: Server,
) -> None:
    server.contact()
    await server.write()
    await server.pass_time(LOST_AFTER)
    await server.pass_time(GONE_AFTER)
    await server.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    assert server.row.state == AgentState.GONE
    server.contact()
    await server.write()
    assert server.row.state == AgentState.DRAINING
    assert server.contact() is True


async def test_a_contact_on_its_way_does_not_undo_a_drain(server: Server) -> None:
    server.contact()
    await server.write()
    server.contact(slots=3)
    on_its_way = server.registry.take_dirty()
    await server.execute(c.SetAgentState("default", ["a1"], int(AgentState.DRAINING)))
    await server.execute(on_its_way)
    assert (server.row.state, server.row.slots) == (AgentState.DRAINING, 3)
    assert server.contact(slots=3) is True


async def test_goodbye_is_gone_at_once(server: Server) -> None:
    server.contact()
    await server.write()
    await server.registry.goodbye("default", "a1")
    assert server.row.state == AgentState.GONE
    await server.pass_time(GONE_AFTER + LOST_AFTER)
    assert server.registry.silent() == []


async def test_goodbye_before_the_first_write_leaves_nothing_behind(server: Server) -> None:
    server.contact()
    await server.registry.goodbye("default", "a1")
    server.clock.advance(GONE_AFTER)
    server.registry.silent()
    server.clock.advance(1)
    assert server.registry.silent() == [] and server.registry.get("default", "a1") is None


async def test_what_could_not_be_written_is_written_later_unless_there_is_newer(
    server: Server,
) -> None:
    server.contact("a1")
    server.contact("a2")
    lost = server.registry.take_dirty()
    server.contact("a1", slots=5)
    server.registry.give_back(lost)
    await server.write()
    assert server.row.slots == 5
    assert ("default", "a2") in server.bench.driver.agents


async def test_after_a_restart_every_agent_has_a_term_to_call(server: Server) -> None:
    await server.execute(c.PutAgents([make.agent()]))
    server.registry.start([server.row])
    await server.pass_time(LOST_AFTER - 1)
    assert server.row.state == AgentState.ACTIVE
    await server.pass_time(1)
    assert server.row.state == AgentState.LOST


async def test_changes_of_other_things_and_of_strangers_are_of_no_matter(server: Server) -> None:
    server.registry.apply([Change(1, 1, 3, 0, None), Change(2, AGENT, 3, 0, make.agent("x"))])
    assert server.registry.get("default", "x") is None
