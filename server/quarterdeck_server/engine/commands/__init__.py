"""What may be asked of the engine, and what it answers. All values are validated at the edge."""

from __future__ import annotations

from quarterdeck_server.engine.commands.common import (
    Audit,
    ItemResult,
    Refusal,
    RequestKey,
)
from quarterdeck_server.engine.commands.fleet import (
    DeleteSchedule,
    PauseSchedule,
    PutAgents,
    PutHold,
    PutInstance,
    PutPools,
    PutSchedule,
    ReleaseHold,
    SetAgentState,
    TriggerSchedule,
    UpdateNamespace,
    UpdateQueue,
)
from quarterdeck_server.engine.commands.tasks import (
    BeginAct,
    Cancel,
    Debounce,
    PauseTasks,
    Rerun,
    Rerunning,
    ResumeTasks,
    Retry,
    Spec,
    Submit,
    Submitted,
    TaskChange,
    Throttle,
    Unique,
    UpdateTasks,
)
from quarterdeck_server.engine.commands.upkeep import (
    Expire,
    Prune,
    Sweep,
    Walk,
)
from quarterdeck_server.engine.commands.work import (
    AppendLogs,
    Batch,
    Beat,
    Claim,
    Claimed,
    Fail,
    Line,
    LogItem,
    Profile,
    RecordBeats,
    Release,
    Report,
    ReportItem,
    StopCancelled,
    Succeed,
)

Command = (
    Submit
    | Report
    | Cancel
    | Retry
    | UpdateTasks
    | Rerun
    | PauseTasks
    | ResumeTasks
    | AppendLogs
    | RecordBeats
    | Expire
    | Sweep
    | Walk
    | Prune
    | PutAgents
    | SetAgentState
    | UpdateQueue
    | PutSchedule
    | PauseSchedule
    | TriggerSchedule
    | DeleteSchedule
    | PutHold
    | ReleaseHold
    | UpdateNamespace
    | BeginAct
    | PutInstance
    | PutPools
)
"""Everything that one group can hold."""

__all__ = [
    "AppendLogs",
    "Audit",
    "Batch",
    "Beat",
    "BeginAct",
    "Cancel",
    "Claim",
    "Claimed",
    "Command",
    "Debounce",
    "DeleteSchedule",
    "Expire",
    "Fail",
    "ItemResult",
    "Line",
    "LogItem",
    "PauseSchedule",
    "PauseTasks",
    "Profile",
    "Prune",
    "PutAgents",
    "PutHold",
    "PutInstance",
    "PutPools",
    "PutSchedule",
    "RecordBeats",
    "Refusal",
    "Release",
    "ReleaseHold",
    "Report",
    "ReportItem",
    "RequestKey",
    "Rerun",
    "Rerunning",
    "ResumeTasks",
    "Retry",
    "SetAgentState",
    "Spec",
    "StopCancelled",
    "Submit",
    "Submitted",
    "Succeed",
    "Sweep",
    "TaskChange",
    "Throttle",
    "TriggerSchedule",
    "Unique",
    "UpdateNamespace",
    "UpdateQueue",
    "UpdateTasks",
    "Walk",
]
