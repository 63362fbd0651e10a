"""An agent without the SDK, which knows nothing of time: `bare_agent.py ADDRESS`.

It claims one task, renews its lease until it is told that the lease is lost, reports all the same, and prints what it
was told.
"""

from __future__ import annotations

import sys
import time

import grpc

from quarterdeck.v1 import agent_pb2
from quarterdeck.v1 import agent_service_pb2 as pb
from quarterdeck.v1.agent_service_pb2_grpc import AgentServiceStub
from quarterdeck.v1.status_pb2 import ErrorInfo


def main(address: str) -> None:
    """Work until the lease is lost."""
    stub = AgentServiceStub(grpc.insecure_channel(address))
    me = agent_pb2.AgentInfo(agent_id="bare", name="bare", slots=1)
    claim = pb.ClaimRequest(agent=me, names=["bare"], wait={"seconds": 20})  # type: ignore[arg-type]
    (task,) = stub.Claim(claim).tasks
    say(f"attempt {task.attempt}")
    lease = pb.LeaseBeat(task_id=task.task_id, lease_token=task.lease_token)
    directives: list[pb.LeaseDirective] = []
    while not directives:
        time.sleep(0.1)
        beat = pb.HeartbeatRequest(agent=me, leases=[lease])
        directives = list(stub.Heartbeat(beat).directives)
    say(pb.Directive.Name(directives[0].directive))
    report = pb.AttemptReport(
        task_id=task.task_id, lease_token=task.lease_token, succeeded=pb.Succeeded()
    )
    request = pb.ReportRequest(agent_id="bare", reports=[report])
    (result,) = stub.Report(request).results
    say(ErrorInfo.FromString(result.error.details[0].value).reason)


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
