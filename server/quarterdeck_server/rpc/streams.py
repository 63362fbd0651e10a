"""StreamService: calls of other services, many over one stream."""

from __future__ import annotations

from quarterdeck_server.rpc.agents import AgentService
from quarterdeck_server.rpc.tasks import TaskService


class StreamService:
    """Answers each message as the service does that has the call; see `methods` for the streams themselves."""

    def __init__(self, tasks: TaskService, agents: AgentService) -> None:
        self.stream_submit = tasks.submit
        self.stream_claim = agents.claim
        self.stream_heartbeat = agents.heartbeat
        self.stream_report = agents.report
