"""A client and a worker by hand, one request at a time, so that a script knows what happens between two of them.

What it tells of an answer has nothing that differs from run to run: no times, no ids of runs.
"""

import asyncio
import json
import os
import re
import sys
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.command.v1 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
    StartTimerCommandAttributes,
)
from temporalio.api.common.v1 import ActivityType, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api
from temporalio.client import Client
from temporalio.service import RPCError

# What differs from run to run, or is not asked about here.
BLANK = {
    "autoResetPoints", "baseRunId", "closeTime", "currentAttemptScheduledTime", "eventTime", "executionDuration",
    "executionTime", "firstExecutionRunId", "originalScheduledTime", "originalStartTime",
    "firstRunId", "historySizeBytes", "lastAttemptCompleteTime", "lastHeartbeatTime", "lastStartedTime", "link",
    "newRunId", "nextAttemptScheduleTime", "currentRetryInterval", "originalExecutionRunId", "pauseTime", "pausedTime",
    "pollerScalingDecision", "requestId", "requestIdInfos", "rootExecution", "runExpirationTime", "runId", "scheduledTime", "startTime",
    "startedTime", "stateTransitionCount", "taskId", "taskToken", "updateTime", "expirationTime", "signalLink",
}  # fmt: skip
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def blanked(value):
    if isinstance(value, dict):
        return {key: blanked(inner) for key, inner in value.items() if key not in BLANK}
    return [blanked(inner) for inner in value] if isinstance(value, list) else value


def seconds(length: int) -> Duration:
    return Duration(seconds=length)


def run_of(workflow_id: str) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=workflow_id)


def mask(*paths: str) -> FieldMask:
    return FieldMask(paths=paths)


def activity(name: str, queue: str, kind: str = "A", **limits) -> Command:
    limits.setdefault("start_to_close_timeout", seconds(60))
    attributes = ScheduleActivityTaskCommandAttributes(
        activity_id=name, activity_type=ActivityType(name=kind), task_queue=TaskQueue(name=queue), **limits
    )
    return Command(command_type="COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK", schedule_activity_task_command_attributes=attributes)


def timer(length: int) -> Command:
    attributes = StartTimerCommandAttributes(timer_id="t", start_to_fire_timeout=seconds(length))
    return Command(command_type="COMMAND_TYPE_START_TIMER", start_timer_command_attributes=attributes)


def end() -> Command:
    attributes = CompleteWorkflowExecutionCommandAttributes()
    return Command(
        command_type="COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION", complete_workflow_execution_command_attributes=attributes
    )


class Server:
    """One request at a time."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.service = client, client.workflow_service
        self.namespace = namespace
        self.requests = 0

    async def answer(self, method: str, kind, within: float = 20, **fields):
        """The answer itself; raises where there is none."""
        request = kind(namespace=self.namespace, **fields)
        return await getattr(self.service, method)(request, timeout=timedelta(seconds=within))

    async def ask(self, method: str, kind, **fields):
        """What is told of an answer, or of its refusal."""
        try:
            return blanked(MessageToDict(await self.answer(method, kind, **fields)))
        except RPCError as error:
            return f"{error.status.name}: {RUN.sub('run', error.message)}"

    async def start(self, workflow_id: str, **fields):
        self.requests += 1
        return await self.ask("start_workflow_execution", api.StartWorkflowExecutionRequest, **self.a_start(workflow_id), **fields)

    def a_start(self, workflow_id: str) -> dict:
        return {
            "workflow_id": workflow_id,
            "workflow_type": WorkflowType(name="T"),
            "task_queue": TaskQueue(name=workflow_id),
            "request_id": f"start {self.requests}",
            "identity": "client",
        }

    async def task(self, queue: str):
        """The next workflow task, which is there."""
        task = await self.answer(
            "poll_workflow_task_queue", api.PollWorkflowTaskQueueRequest, 70, task_queue=TaskQueue(name=queue), identity="worker"
        )
        assert task.task_token, f"no task on {queue}"
        return task

    async def complete(self, task, *commands: Command, **fields):
        return await self.ask(
            "respond_workflow_task_completed", api.RespondWorkflowTaskCompletedRequest,
            task_token=task.task_token, commands=commands, identity="worker", **fields,
        )  # fmt: skip

    async def with_activities(self, workflow_id: str, *commands: Command) -> None:
        await self.start(workflow_id)
        await self.complete(await self.task(workflow_id), *commands)

    async def work(self, queue: str, within: float = 20):
        """The next activity task, or `None` where none comes in time. A server takes no poll of less than two seconds."""
        try:
            task = await self.answer(
                "poll_activity_task_queue", api.PollActivityTaskQueueRequest, within,
                task_queue=TaskQueue(name=queue), identity="worker",
            )  # fmt: skip
            return task if task.task_token else None
        except RPCError:
            return None

    async def fail(self, task, **how):
        failure = Failure(message="no", application_failure_info=ApplicationFailureInfo(type="E", **how))
        return await self.ask(
            "respond_activity_task_failed", api.RespondActivityTaskFailedRequest, task_token=task.task_token, failure=failure
        )

    async def heartbeat(self, task, details: bytes | None = None):
        payloads = Payloads(payloads=[Payload(data=details)]) if details else None
        return await self.ask(
            "record_activity_task_heartbeat", api.RecordActivityTaskHeartbeatRequest,
            task_token=task.task_token, details=payloads,
        )  # fmt: skip

    async def activities(self, workflow_id: str) -> dict:
        described = await self.answer(
            "describe_workflow_execution", api.DescribeWorkflowExecutionRequest, execution=run_of(workflow_id)
        )
        return {found.activity_id: blanked(MessageToDict(found)) for found in described.pending_activities}

    async def paused_in_listings(self, workflow_id: str):
        described = await self.answer(
            "describe_workflow_execution", api.DescribeWorkflowExecutionRequest, execution=run_of(workflow_id)
        )
        fields = described.workflow_execution_info.search_attributes.indexed_fields
        # In the order of a map, some of them.
        return sorted(json.loads(fields["TemporalPauseInfo"].data)) if "TemporalPauseInfo" in fields else None

    async def described(self, workflow_id: str):
        found = await self.ask("describe_workflow_execution", api.DescribeWorkflowExecutionRequest, execution=run_of(workflow_id))
        # Build ids of workers without one, which the engine does not note.
        found["workflowExecutionInfo"].get("searchAttributes", {}).get("indexedFields", {}).pop("BuildIds", None)
        found["workflowExecutionInfo"].pop("searchAttributes")
        found["workflowExecutionInfo"].pop("versioningInfo", None)
        return found

    async def events(self, workflow_id: str) -> list:
        found = await self.answer(
            "get_workflow_execution_history", api.GetWorkflowExecutionHistoryRequest, execution=run_of(workflow_id)
        )
        return [blanked(MessageToDict(event)) for event in found.history.events]

    async def names(self, workflow_id: str) -> list:
        return [event["eventType"].removeprefix("EVENT_TYPE_") for event in await self.events(workflow_id)]

    async def pause_activity(self, workflow_id: str, **which):
        return await self.ask("pause_activity", api.PauseActivityRequest, execution=run_of(workflow_id), **which)

    async def unpause_activity(self, workflow_id: str, **which):
        return await self.ask("unpause_activity", api.UnpauseActivityRequest, execution=run_of(workflow_id), **which)

    async def reset_activity(self, workflow_id: str, **which):
        return await self.ask("reset_activity", api.ResetActivityRequest, execution=run_of(workflow_id), **which)

    async def change(self, workflow_id: str, options: ActivityOptions | None, *paths: str, **which):
        which.setdefault("id", "a")
        return await self.ask(
            "update_activity_options", api.UpdateActivityOptionsRequest, execution=run_of(workflow_id),
            activity_options=options, update_mask=mask(*paths) if paths else None, **which,
        )  # fmt: skip

    async def pause(self, workflow_id: str, **fields):
        self.requests += 1
        fields = {"identity": "me", "reason": "why", "request_id": f"pause {self.requests}", **fields}
        return await self.ask(
            "pause_workflow_execution", api.PauseWorkflowExecutionRequest, workflow_id=workflow_id, **fields
        )

    async def unpause(self, workflow_id: str, **fields):
        self.requests += 1
        fields = {"identity": "me", "reason": "enough", "request_id": f"unpause {self.requests}", **fields}
        return await self.ask(
            "unpause_workflow_execution", api.UnpauseWorkflowExecutionRequest, workflow_id=workflow_id, **fields
        )

    async def set_options(self, workflow_id: str, options: WorkflowExecutionOptions | None, *paths: str, **fields):
        return await self.ask(
            "update_workflow_execution_options", api.UpdateWorkflowExecutionOptionsRequest,
            workflow_execution=run_of(workflow_id), workflow_execution_options=options,
            update_mask=mask(*paths) if paths else None, **fields,
        )  # fmt: skip

    async def batch(self, job_id: str, **fields):
        fields = {"reason": "why", **fields}
        return await self.ask("start_batch_operation", api.StartBatchOperationRequest, job_id=job_id, **fields)

    async def ended(self, job_id: str):
        """What is told of a batch, once it has ended."""
        for _ in range(600):
            told = await self.ask("describe_batch_operation", api.DescribeBatchOperationRequest, job_id=job_id)
            if isinstance(told, str) or told["state"] != "BATCH_OPERATION_STATE_RUNNING":
                return told
            await asyncio.sleep(0.1)
        raise TimeoutError(job_id)

    async def carried_out(self, job_id: str, **fields):
        """A batch from its start to its end. One at a time: another has to have ended."""
        for _ in range(100):
            told = await self.batch(job_id, **fields)
            if "Max concurrent" not in str(told):
                break
            await asyncio.sleep(0.1)  # a server's listings lag a little
        return [told, await self.ended(job_id)]


async def write(parts) -> None:
    """Connects, runs the parts of a script one after the other, and writes down what they find."""
    client = await Client.connect(sys.argv[1], namespace=sys.argv[2])
    server = Server(client, sys.argv[2])
    results = [await asyncio.wait_for(part(server), 120) for part in parts]
    found = dict(zip((part.__name__ for part in parts), results))
    with open(sys.argv[3], "w", encoding="utf-8") as file:  # standard output is the SDK's, for its log
        json.dump(found, file)


def run(parts) -> None:
    asyncio.run(write(parts))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
