"""The pretended server's calls about schedules and itself."""

from __future__ import annotations

import time
from typing import Any

from tests.console.calls import Calls
from tests.console.speech import stamp

from quarterdeck.v1 import schedule_pb2, schedule_service_pb2, system_service_pb2


class ScheduleCalls(Calls):
    """The RPCs of ScheduleService that the console calls, and GetServerInfo."""

    async def GetServerInfo(self, request: Any, context: Any) -> Any:
        self._note("GetServerInfo", request)
        answer = system_service_pb2.GetServerInfoResponse(version="0.1.0")
        stamp(answer.time, time.time())
        return answer

    async def ListSchedules(self, request: Any, context: Any) -> Any:
        self._note("ListSchedules", request)
        await self._terms(request.filter, context)
        return schedule_service_pb2.ListSchedulesResponse()

    async def PreviewSchedule(self, request: Any, context: Any) -> Any:
        self._note("PreviewSchedule", request)
        answer = schedule_service_pb2.PreviewScheduleResponse()
        for step in range(request.count or 10):
            stamp(answer.times.add(), time.time() + 3_600 * (step + 1))
        return answer

    async def TriggerSchedule(self, request: Any, context: Any) -> Any:
        self._note("TriggerSchedule", request)
        key = self._fleet.task("digest", schedule_id=request.schedule_id)
        return schedule_service_pb2.TriggerScheduleResponse(task_id=key)

    async def PauseSchedule(self, request: Any, context: Any) -> Any:
        self._note("PauseSchedule", request)
        self._pause(request.schedule_id, True)
        return schedule_service_pb2.PauseScheduleResponse()

    async def ResumeSchedule(self, request: Any, context: Any) -> Any:
        self._note("ResumeSchedule", request)
        self._pause(request.schedule_id, False)
        return schedule_service_pb2.ResumeScheduleResponse()

    def _pause(self, key: str, paused: bool) -> None:
        item = schedule_pb2.Schedule()
        item.CopyFrom(self._fleet.items["schedule"][key])
        item.paused = paused
        self._fleet.put("schedule", key, item)
