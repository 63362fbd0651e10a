"""FleetService and SystemService over a real channel."""

from __future__ import annotations

from quarterdeck.v1 import fleet_service_pb2 as pb
from quarterdeck.v1 import queue_pb2, system_service_pb2, task_pb2
from quarterdeck_server.engine.commands import PutInstance, PutPools
from quarterdeck_server.engine.pools import Instance, PoolStatus

from .api import Api, agent, refused, spec
from .conftest import Server


def counts(queue: queue_pb2.Queue) -> dict[int, int]:
    """A queue's counts by state."""
    return {count.state: count.count for count in queue.counts}


async def test_a_queue_exists_from_its_first_use_with_its_counters(api: Api) -> None:
    await api.submit(spec(queue="red"), spec(queue="red", name="other"), spec(queue="blue"))
    task = await api.claim_one(queues=["blue"])
    await api.report(task, succeeded={})
    response = await api.fleet.ListQueues(pb.ListQueuesRequest())
    blue, red = response.queues
    assert (blue.name, blue.succeeded_total) == ("blue", 1)
    assert counts(red) == {task_pb2.TASK_STATE_READY: 2}
    assert [name.name for name in red.names] == ["other", "work"]
    first = await api.fleet.ListQueues(pb.ListQueuesRequest(page_size=1))
    rest = await api.fleet.ListQueues(
        pb.ListQueuesRequest(page_size=1, page_token=first.next_page_token)
    )
    assert [queue.name for queue in rest.queues] == ["red"]


async def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(api: Api) -> None:
    request = pb.UpdateQueueRequest(queue="default", paused=True, reason="ops: deploy")
    queue = (await api.fleet.UpdateQueue(request)).queue
    assert (queue.paused, queue.pause_note) == (True, "ops: deploy")
    (task_id,) = await api.submit()
    assert not (await api.claim(wait={})).tasks
    untouched = await api.fleet.UpdateQueue(pb.UpdateQueueRequest(queue="default"))
    assert untouched.queue.paused
    await api.fleet.UpdateQueue(pb.UpdateQueueRequest(queue="default", paused=False))
    assert (await api.claim_one()).task_id == task_id


async def test_agents_are_listed_as_they_describe_themselves(api: Api) -> None:
    await api.submit()
    info = agent("agent-7", version="1.2", hostname="box", pid=42, labels={"gpu": "yes"})
    await api.claim_one(agent=info)
    response = await api.fleet.ListAgents(pb.ListAgentsRequest(filter="host:box"))
    (found,) = response.agents
    assert found.info == info
    assert (found.running, list(found.queues), found.namespace) == (1, ["default"], "default")
    nobody = await api.fleet.ListAgents(pb.ListAgentsRequest(filter="name:nobody"))
    assert not nobody.agents


async def test_the_list_tells_of_the_last_contact_to_the_moment(api: Api) -> None:
    async def seen() -> int:
        (found,) = (await api.fleet.ListAgents(pb.ListAgentsRequest())).agents
        return int(found.last_contact_time.ToMicroseconds())

    await api.claim(wait={})
    first = await seen()
    await api.claim(wait={})
    assert await seen() > first


async def test_an_unknown_agent_cannot_be_drained(api: Api) -> None:
    error = await refused(api.fleet.DrainAgent(pb.DrainAgentRequest(agent_id="nobody")))
    assert (error.reason, error.metadata) == ("AGENT_NOT_FOUND", {"agent_id": "nobody"})


async def test_pools_are_listed_with_the_instances_that_live(api: Api, server: Server) -> None:
    pool = PoolStatus("default", "local", "red", 1, 4, 2, 60_000_000, "process", 1, "backoff", 0)
    alive = Instance("i-1", "default", "local", 2, "agent-1", 99, None, 1_000_000, None, None, 0)
    ended = alive._replace(id="i-2", state=4, end_time=2_000_000, detail="exit 1")
    await server.core.execute(PutPools([pool]))
    await server.core.execute(PutInstance(alive))
    await server.core.execute(PutInstance(ended))
    response = await api.fleet.ListPools(pb.ListPoolsRequest())
    (found,) = response.pools
    assert (found.name, found.queue, found.max, found.detail) == ("local", "red", 4, "backoff")
    assert found.idle_timeout.seconds == 60
    (instance,) = response.instances
    assert (instance.id, instance.pid, instance.agent_id) == ("i-1", 99, "agent-1")


async def test_the_server_says_what_it_is_and_what_it_enforces(api: Api, server: Server) -> None:
    info = await api.system.GetServerInfo(system_service_pb2.GetServerInfoRequest())
    assert info.version.count(".") == 2
    assert "watch.latest" in info.capabilities
    assert info.limits.max_payload_bytes == 1024 * 1024
    assert (info.limits.max_batch, info.limits.max_page_size) == (5000, 1000)
    assert info.store_id == server.core.store.store_id
    assert info.time.ToMicroseconds() >= info.start_time.ToMicroseconds() > 0
