"""SystemService: what the server is."""

from __future__ import annotations

from importlib import metadata
from typing import Final

from quarterdeck.v1 import system_service_pb2 as pb
from quarterdeck_server.rpc import convert, validate
from quarterdeck_server.rpc.backend import Core
from quarterdeck_server.rpc.methods import Context
from quarterdeck_server.rpc.options import max_message_bytes

CAPABILITIES: Final = (
    "claim.replay",
    "heartbeat.long_poll",
    "logs.follow",
    "schedules",
    "submit.dependencies",
    "watch.every_change",
    "watch.latest",
)
"""Features that a client may rely on. One is added with each feature and none is ever removed."""


class SystemService:
    """Answers anyone."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._version = metadata.version("quarterdeck")

    async def get_server_info(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Version, capabilities and limits."""
        core = self._core
        limits = pb.Limits(
            max_payload_bytes=core.settings.max_payload_bytes,
            max_message_bytes=max_message_bytes(core.settings),
            max_batch=validate.MAX_BATCH,
            max_page_size=validate.MAX_PAGE_SIZE,
        )
        response = pb.GetServerInfoResponse(
            version=self._version,
            capabilities=CAPABILITIES,
            limits=limits,
            store_id=core.store.store_id,
        )
        convert.set_time(response.time, core.clock.now())
        convert.set_time(response.start_time, core.start_time)
        return response
