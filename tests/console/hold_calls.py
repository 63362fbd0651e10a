"""The pretended server's calls about holds and the audit log."""

from __future__ import annotations

from typing import Any

import grpc
from tests.console.calls import Calls
from tests.console.speech import abort

from quarterdeck.v1 import fleet_service_pb2, hold_pb2


class HoldCalls(Calls):
    """Freezes, holds and who did what."""

    def _hold(self, kind: int, subject: str, request: Any) -> hold_pb2.Hold:
        hold = hold_pb2.Hold(namespace="default", subject=subject)
        hold.kind = kind  # type: ignore[assignment]
        hold.actor, hold.reason = request.actor, request.reason
        hold.create_time.GetCurrentTime()
        self._fleet.put("hold", f"{kind}:{subject}", hold)
        return hold

    async def Freeze(self, request: Any, context: Any) -> Any:
        self._note("Freeze", request)
        hold = self._hold(hold_pb2.HOLD_KIND_NAMESPACE, "", request)
        return fleet_service_pb2.FreezeResponse(hold=hold)

    async def Thaw(self, request: Any, context: Any) -> Any:
        self._note("Thaw", request)
        key = f"{hold_pb2.HOLD_KIND_NAMESPACE}:"
        frozen = key in self._fleet.items["hold"]
        if frozen:
            self._fleet.drop("hold", key)
        return fleet_service_pb2.ThawResponse(thawed=frozen)

    async def PutHold(self, request: Any, context: Any) -> Any:
        self._note("PutHold", request)
        hold = self._hold(request.kind, request.subject, request)
        return fleet_service_pb2.PutHoldResponse(hold=hold)

    async def ReleaseHold(self, request: Any, context: Any) -> Any:
        self._note("ReleaseHold", request)
        key = f"{request.kind}:{request.subject}"
        hold = self._fleet.items["hold"].get(key)
        if hold is None:
            await abort(context, grpc.StatusCode.NOT_FOUND, "HOLD_NOT_FOUND", "nothing is held")
        self._fleet.drop("hold", key)
        return fleet_service_pb2.ReleaseHoldResponse(hold=hold)

    async def ListAuditEntries(self, request: Any, context: Any) -> Any:
        self._note("ListAuditEntries", request)
        start = int(request.page_token or 0)
        end = start + (request.page_size or 100)
        entries = self._fleet.audit[start:end]
        more = end < len(self._fleet.audit)
        return fleet_service_pb2.ListAuditEntriesResponse(
            entries=entries, next_page_token=str(end) if more else ""
        )
