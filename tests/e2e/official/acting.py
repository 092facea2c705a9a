"""What operators do to running workflows and activities, asked of a server; what came of each is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run: no times, no ids of runs. It is its own worker, one request at a time, so
that it knows what happens between two of them.
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
from temporalio.api.batch.v1 import (
    BatchOperationCancellation,
    BatchOperationDeletion,
    BatchOperationReset,
    BatchOperationResetActivities,
    BatchOperationSignal,
    BatchOperationTermination,
    BatchOperationUnpauseActivities,
    BatchOperationUpdateActivityOptions,
    BatchOperationUpdateWorkflowExecutionOptions,
)
from temporalio.api.command.v1 import (
    Command,
    CompleteWorkflowExecutionCommandAttributes,
    ScheduleActivityTaskCommandAttributes,
    StartTimerCommandAttributes,
)
from temporalio.api.common.v1 import (
    ActivityType,
    Execution,
    Payload,
    Payloads,
    Priority,
    ResetOptions,
    RetryPolicy,
    WorkflowExecution,
    WorkflowType,
)
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api
from temporalio.client import Client
from temporalio.service import RPCError

# What differs from run to run, or is not asked about here.
BLANK = {
    "autoResetPoints", "baseRunId", "closeTime", "currentAttemptScheduledTime", "eventTime", "executionDuration",
    "executionTime", "firstExecutionRunId", "originalScheduledTime", "originalStartTime",
    "firstRunId", "historySizeBytes", "lastAttemptCompleteTime", "lastHeartbeatTime", "lastStartedTime", "link",
    "newRunId", "nextAttemptScheduleTime", "currentRetryInterval", "originalExecutionRunId", "pauseTime", "pausedTime",
    "requestId", "requestIdInfos", "rootExecution", "runExpirationTime", "runId", "scheduledTime", "startTime",
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
        self.service = client.workflow_service
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


async def refusals(server: Server) -> dict:
    nobody = {"execution": run_of("nobody")}
    found = {}
    methods = {
        "pause_activity": api.PauseActivityRequest,
        "unpause_activity": api.UnpauseActivityRequest,
        "reset_activity": api.ResetActivityRequest,
        "update_activity_options": api.UpdateActivityOptionsRequest,
    }
    for method, kind in methods.items():
        found[method] = [
            await server.ask(method, kind),
            await server.ask(method, kind, id="a"),
            await server.ask(method, kind, **nobody),
            await server.ask(method, kind, id="a", **nobody),
            await server.ask(method, kind, type="A", **nobody),
            await server.ask(method, kind, id="a", execution=WorkflowExecution(workflow_id="x", run_id="no uuid")),
        ]
    found["pause"] = [
        await server.pause(""), await server.pause("nobody"), await server.pause("x", run_id="no uuid"),
        await server.pause("x", reason="x" * 2000), await server.pause("x", identity="x" * 2000),
        await server.unpause("nobody"), await server.unpause("x", request_id="x" * 2000),
    ]  # fmt: skip
    some = WorkflowExecutionOptions()
    found["options"] = [
        await server.set_options("", some, "priority"), await server.set_options("x", None, "priority"),
        await server.set_options("x", some), await server.set_options("nobody", some, "priority"),
    ]  # fmt: skip
    return found


async def paused_activities(server: Server) -> dict:
    found: dict = {}
    name = "paused-activities"
    b = activity("b", name + "-b", "B", heartbeat_timeout=seconds(30))
    c = activity("c", name + "-c", "B", schedule_to_close_timeout=seconds(600), schedule_to_start_timeout=seconds(500))
    once = activity("once", name + "-once", "C", retry_policy=RetryPolicy(maximum_attempts=1))
    late = activity("late", name + "-late", "C", schedule_to_start_timeout=seconds(4))
    await server.with_activities(name, activity("a", name), b, c, once, late)
    await server.pause_activity(name, id="late")
    found["scheduled"] = await server.activities(name)
    found["unknown"] = [await server.pause_activity(name, id="z"), await server.pause_activity(name, type="Z")]
    manual = {"identity": "me", "reason": "why", "request_id": "r"}
    found["paused"] = [
        await server.pause_activity(name, id="a", **manual),
        await server.pause_activity(name, id="a", **manual),
        await server.pause_activity(name, id="a", request_id="another"),
        await server.pause_activity(name, type="A", request_id="another"),
        (await server.activities(name))["a"],
        await server.paused_in_listings(name),
    ]

    task = await server.work(name + "-b")
    found["with a worker"] = [
        await server.heartbeat(task, b"1"),
        await server.pause_activity(name, id="b"),
        (await server.activities(name))["b"],
        await server.heartbeat(task),
        await server.paused_in_listings(name),
    ]
    found["failed"] = [await server.fail(task), (await server.activities(name))["b"]]
    await server.ask("respond_activity_task_completed", api.RespondActivityTaskCompletedRequest, task_token=task.task_token)
    found["not handed out"] = [await server.work(queue, 2.5) is None for queue in (name + "-b", name)]
    found["unpaused"] = [
        await server.unpause_activity(name, id="b", reset_heartbeat=True),
        await server.unpause_activity(name, id="c"),
        (await server.activities(name))["b"],
    ]
    task = await server.work(name + "-b")
    found["second attempt"] = [task.attempt, len(task.heartbeat_details.payloads)]

    task = await server.work(name + "-once")
    await server.pause_activity(name, id="once")
    await server.fail(task)
    found["no attempt is left"] = (await server.activities(name))["once"]
    await server.unpause_activity(name, id="once", reset_attempts=True)
    task = await server.work(name + "-once")
    found["attempts anew"] = task.attempt
    await server.pause_activity(name, id="once")
    await server.fail(task, non_retryable=True)
    found["fails for good"] = "once" not in await server.activities(name)
    found["does not time out"] = (await server.activities(name))["late"]
    found["all"] = [await server.unpause_activity(name, unpause_all=True), await server.paused_in_listings(name)]
    await server.ask("terminate_workflow_execution", api.TerminateWorkflowExecutionRequest, workflow_execution=run_of(name))
    found["closed"] = [
        await server.pause_activity(name, id="a"), await server.unpause_activity(name, id="a"),
        await server.reset_activity(name, id="a"),
    ]  # fmt: skip
    return found


async def reset_activities(server: Server) -> dict:
    found: dict = {}
    name = "reset-activities"
    quick = RetryPolicy(initial_interval=seconds(60))
    await server.with_activities(name, activity("a", name + "-a"), activity("b", name, "B", retry_policy=quick))
    task = await server.work(name)
    found["with a worker"] = [
        await server.reset_activity(name, id="b", reset_heartbeat=True),
        await server.heartbeat(task, b"1"),
        (await server.activities(name))["b"],
    ]
    await server.fail(task)
    found["failed"] = (await server.activities(name))["b"]
    found["backing off"] = [await server.reset_activity(name, type="B"), (await server.activities(name))["b"]]
    task = await server.work(name)
    found["at once"] = [task.attempt, len(task.heartbeat_details.payloads)]
    await server.pause_activity(name, id="a", request_id="r")
    found["keeps paused"] = [
        await server.reset_activity(name, id="a", keep_paused=True), (await server.activities(name))["a"]
    ]  # fmt: skip
    found["unpauses"] = [
        await server.reset_activity(name, match_all=True), await server.activities(name), await server.paused_in_listings(name)
    ]  # fmt: skip
    found["unknown"] = await server.reset_activity(name, id="z")
    return found


async def activity_options(server: Server) -> dict:
    name = "activity-options"
    limits = {"schedule_to_close_timeout": seconds(600), "schedule_to_start_timeout": seconds(500)}
    await server.with_activities(name, activity("a", name, **limits), activity("b", name + "-b", "B"))
    policy = lambda **fields: ActivityOptions(retry_policy=RetryPolicy(**fields))  # noqa: E731
    cases = [
        (ActivityOptions(start_to_close_timeout=seconds(5)), "start_to_close_timeout"),
        (policy(maximum_attempts=7), "retry_policy.maximum_attempts"),
        (policy(initial_interval=seconds(3)), "retry_policy.initial_interval", "retryPolicy.nothing"),
        (ActivityOptions(heartbeat_timeout=seconds(900)), "heartbeat_timeout"),
        (ActivityOptions(priority=Priority(priority_key=3)), "priority.priority_key"),
        (ActivityOptions(priority=Priority(fairness_key="f")), "priority"),
        (ActivityOptions(task_queue=TaskQueue(name=name + "-other")), "task_queue.name"),
        (ActivityOptions(), "task_queue.name"),
        (ActivityOptions(), "retry_policy"),
        (ActivityOptions(), "nothing"),
        (policy(backoff_coefficient=0.5), "retry_policy.backoff_coefficient"),
        (ActivityOptions(), "start_to_close_timeout", "schedule_to_close_timeout"),
        (ActivityOptions(start_to_close_timeout=seconds(-9)), "startToCloseTimeout"),
        (ActivityOptions(start_to_close_timeout=seconds(9)), "startToCloseTimeout"),
        (None, "start_to_close_timeout"),
        (ActivityOptions(),),
    ]
    found: dict = {f"change {number}": await server.change(name, *case) for number, case in enumerate(cases)}
    found["changed"] = (await server.activities(name))["a"]
    found["old queue"] = await server.work(name, 2.5) is None
    task = await server.work(name + "-other")
    found["handed out"] = blanked(MessageToDict(task))
    await server.fail(task)
    found["of a type"] = await server.change(name, ActivityOptions(heartbeat_timeout=seconds(4)), "heartbeat_timeout", id=None, type="B")
    found["unknown"] = await server.change(name, ActivityOptions(), "heartbeat_timeout", id="z")
    both = ActivityOptions(heartbeat_timeout=seconds(4))
    found["both"] = await server.change(name, both, "heartbeat_timeout", restore_original=True)
    found["restored"] = [await server.change(name, None, restore_original=True), (await server.activities(name))["a"]]
    await server.change(name, both, "heartbeat_timeout", id="b")
    found["reset"] = [
        await server.reset_activity(name, id="b", restore_original_options=True), (await server.activities(name))["b"]
    ]  # fmt: skip
    return found


async def paused_workflows(server: Server) -> dict:
    found: dict = {}
    name = "paused-before-its-task"
    await server.start(name)
    found["not paused"] = await server.unpause(name)
    found["paused"] = [
        await server.pause(name), await server.pause(name), await server.described(name), await server.events(name),
        await server.paused_in_listings(name),
    ]  # fmt: skip
    signal = {"workflow_execution": run_of(name), "signal_name": "s"}
    request = Request(meta=Meta(update_id="u"), input=Input(name="u"))
    found["meanwhile"] = [
        await server.ask("signal_workflow_execution", api.SignalWorkflowExecutionRequest, **signal),
        await server.ask("query_workflow", api.QueryWorkflowRequest, execution=run_of(name), query=WorkflowQuery(query_type="q")),
        await server.ask("update_workflow_execution", api.UpdateWorkflowExecutionRequest, workflow_execution=run_of(name), request=request),
        await server.ask("request_cancel_workflow_execution", api.RequestCancelWorkflowExecutionRequest, workflow_execution=run_of(name)),
        await server.start(name),
    ]
    for query in ("ExecutionStatus='Paused'", "ExecutionStatus='Running'", "TemporalPauseInfo='Reason:why'"):
        query = f"WorkflowId='{name}' AND {query}"
        for _ in range(20):  # a server's listings lag a little
            count = await server.ask("count_workflow_executions", api.CountWorkflowExecutionsRequest, query=query)
            if bool(count) != ("Running" in query):
                break
            await asyncio.sleep(0.1)
        found[query] = count
    found["unpaused"] = [await server.unpause(name), await server.described(name), await server.events(name)]

    name = "paused-with-a-task"
    await server.start(name)
    task = await server.task(name)
    await server.pause(name)
    found["held"] = [await server.described(name), await server.names(name)]
    found["forced"] = await server.complete(task, force_create_new_workflow_task=True)
    found["completed"] = [await server.complete(task, activity("a", name), timer(1)), await server.names(name)]
    found["no activity"] = await server.work(name, 2.5) is None
    found["timer"] = await server.names(name)
    await server.unpause(name)
    found["goes on"] = [await server.names(name), (await server.work(name)).activity_id]
    task = await server.task(name)
    await server.pause(name)
    found["no close"] = [await server.complete(task, end()), await server.names(name)]
    await server.unpause(name)
    task = await server.task(name)
    await server.pause(name)
    await server.unpause(name)
    found["paused for a moment"] = [await server.complete(task), await server.names(name)]

    name = "paused-with-a-failing-task"
    await server.start(name)
    task = await server.task(name)
    await server.pause(name)
    failed = {"task_token": task.task_token, "failure": Failure(message="no")}
    await server.ask("respond_workflow_task_failed", api.RespondWorkflowTaskFailedRequest, **failed)
    found["failing"] = await server.names(name)
    await server.unpause(name)
    task = await server.task(name)
    failed = {"task_token": task.task_token, "failure": Failure(message="no")}
    await server.ask("respond_workflow_task_failed", api.RespondWorkflowTaskFailedRequest, **failed)
    await server.pause(name)
    found["failed before"] = await server.names(name)
    await server.unpause(name)
    found["tries again"] = [(await server.task(name)).attempt, await server.names(name)]

    name = "paused-and-ended"
    await server.start(name, workflow_run_timeout=seconds(2))
    await server.pause(name)
    await asyncio.sleep(3)
    found["ended"] = [await server.names(name), await server.described(name), await server.paused_in_listings(name)]
    found["too late"] = [await server.pause(name), await server.unpause(name)]
    return found


async def options(server: Server) -> dict:
    name = "options"
    await server.start(name)
    priority = lambda **fields: WorkflowExecutionOptions(priority=Priority(**fields))  # noqa: E731
    override = lambda **fields: WorkflowExecutionOptions(versioning_override=VersioningOverride(**fields))  # noqa: E731
    version = WorkerDeploymentVersion(deployment_name="d", build_id="b")
    cases = [
        (priority(), "priority"),
        (priority(priority_key=2), "priority"),
        (priority(priority_key=3, fairness_key="f"), "priority.fairness_key"),
        (priority(priority_key=-3), "priority.priority_key"),
        (override(auto_upgrade=True), "versioning_override"),
        (override(auto_upgrade=True), "versioningOverride"),
        (override(pinned=VersioningOverride.PinnedOverride(behavior=1, version=version)), "versioning_override"),
        (override(one_time=VersioningOverride.OneTimeOverride(target_deployment_version=version)), "versioning_override"),
        (WorkflowExecutionOptions(), "versioning_override"),
        (WorkflowExecutionOptions(), "time_skipping_config"),
    ]
    found: dict = {}
    for number, case in enumerate(cases):
        found[f"case {number}"] = await server.set_options(name, *case, identity="me")
    task = await server.task(name)
    found["held"] = await server.set_options(name, WorkflowExecutionOptions(), "priority")
    await server.complete(task)
    found["events"] = await server.events(name)
    return found


async def eager(server: Server) -> dict:
    found: dict = {}
    found["at once"] = [await server.start("eager", request_eager_execution=True), await server.events("eager")]
    # The same request again.
    again = {**server.a_start("eager"), "request_eager_execution": True}
    found["again"] = await server.ask("start_workflow_execution", api.StartWorkflowExecutionRequest, **again)
    task = await server.answer("start_workflow_execution", api.StartWorkflowExecutionRequest, **again)
    found["completed"] = [await server.complete(task.eager_workflow_task, end()), await server.names("eager")]
    delayed = await server.start("eager-delayed", request_eager_execution=True, workflow_start_delay=seconds(60))
    found["delayed"] = [delayed, await server.names("eager-delayed")]
    await server.start("eager-there")
    found["there"] = await server.start("eager-there", request_eager_execution=True, workflow_id_conflict_policy=2)
    system = await server.service.get_system_info(api.GetSystemInfoRequest())
    space = await server.answer("describe_namespace", api.DescribeNamespaceRequest)
    told = space.namespace_info.capabilities
    found["capabilities"] = [system.capabilities.eager_workflow_start, told.eager_workflow_start, told.workflow_pause]
    return found


async def batch_refusals(server: Server) -> dict:
    ending = {"termination_operation": BatchOperationTermination()}
    query = {"visibility_query": "WorkflowType='None'"}
    twice = {**query, "executions": [run_of("x")]}
    other = {"target_executions": [Execution(type="EXECUTION_TYPE_WORKFLOW", business_id="x")]}
    change = BatchOperationUpdateActivityOptions
    cases: list[dict] = [
        {}, query, ending, {**query, **ending, "reason": ""}, {**twice, **ending}, {**query, **other, **ending},
        {**query, "signal_operation": BatchOperationSignal()},
        {**query, "reset_operation": BatchOperationReset()},
        {**query, "reset_operation": BatchOperationReset(options=ResetOptions())},
        {**query, "unpause_activities_operation": BatchOperationUnpauseActivities()},
        {**query, "unpause_activities_operation": BatchOperationUnpauseActivities(type="")},
        {**query, "unpause_activities_operation": BatchOperationUnpauseActivities(match_all=False)},
        {**query, "reset_activities_operation": BatchOperationResetActivities()},
        {**query, "update_activity_options_operation": change(match_all=True)},
        {**query, "update_activity_options_operation": change(match_all=True, restore_original=True, activity_options=ActivityOptions())},
        {**query, "update_workflow_options_operation": BatchOperationUpdateWorkflowExecutionOptions()},
    ]  # fmt: skip
    found: dict = {f"case {number}": await server.batch("refused", **case) for number, case in enumerate(cases)}
    found["no job"] = await server.batch("", **query, **ending)
    missing = {"job_id": "nobody"}
    found["unknown"] = [
        await server.ask("describe_batch_operation", api.DescribeBatchOperationRequest, **missing),
        await server.ask("describe_batch_operation", api.DescribeBatchOperationRequest),
        await server.ask("stop_batch_operation", api.StopBatchOperationRequest, reason="why", **missing),
        await server.ask("stop_batch_operation", api.StopBatchOperationRequest, **missing),
        await server.ask("stop_batch_operation", api.StopBatchOperationRequest, reason="why"),
    ]
    return found


async def batches(server: Server) -> dict:
    found: dict = {}
    names = [f"batch-{number}" for number in range(3)]
    for name in names:
        await server.start(name)
    query = {"visibility_query": "WorkflowId STARTS_WITH 'batch-'"}
    for _ in range(100):
        count = await server.answer("count_workflow_executions", api.CountWorkflowExecutionsRequest, query=query["visibility_query"])
        if count.count == len(names):
            break
        await asyncio.sleep(0.1)
    listed = {"executions": [run_of(name) for name in [*names, "nobody"]]}
    signal = {"signal_operation": BatchOperationSignal(signal="s", identity="me")}
    found["signal"] = [await server.carried_out("job-signal", **query, **signal), await server.events(names[0])]
    priority = BatchOperationUpdateWorkflowExecutionOptions(
        identity="me", update_mask=mask("priority"),
        workflow_execution_options=WorkflowExecutionOptions(priority=Priority(priority_key=2)),
    )  # fmt: skip
    found["options"] = [await server.carried_out("job-options", **query, update_workflow_options_operation=priority), await server.names(names[1])]
    task = await server.task(names[2])
    await server.complete(task, activity("a", "batch", "A"), activity("b", "batch", "B"))
    reset = {"reset_operation": BatchOperationReset(reset_type="RESET_TYPE_LAST_WORKFLOW_TASK", identity="me")}
    found["cancel"] = [
        await server.carried_out("job-cancel", **query, cancellation_operation=BatchOperationCancellation()), await server.names(names[0])
    ]  # fmt: skip
    await server.pause_activity(names[2], type="A")
    await server.pause_activity(names[2], type="B")
    one = {"executions": [run_of(names[2])]}
    unpause = BatchOperationUnpauseActivities(match_all=True)
    found["unpause"] = [
        await server.carried_out("job-unpause", **one, unpause_activities_operation=unpause), await server.activities(names[2])
    ]  # fmt: skip
    change = BatchOperationUpdateActivityOptions(
        type="B", activity_options=ActivityOptions(heartbeat_timeout=seconds(3)), update_mask=mask("heartbeat_timeout")
    )
    found["change"] = [
        await server.carried_out("job-change", **one, update_activity_options_operation=change), await server.activities(names[2])
    ]  # fmt: skip
    again = BatchOperationResetActivities(match_all=True, restore_original_options=True)
    found["again"] = [
        await server.carried_out("job-again", **one, reset_activities_operation=again), await server.activities(names[2])
    ]  # fmt: skip
    found["reset"] = [await server.carried_out("job-reset", **one, **reset), await server.events(names[2])]
    first = BatchOperationReset(options=ResetOptions(first_workflow_task={}), identity="me")
    found["first"] = [await server.carried_out("job-first", **one, reset_operation=first), await server.events(names[2])]
    ending = {"termination_operation": BatchOperationTermination(identity="me")}
    found["terminate"] = [await server.carried_out("job-terminate", **listed, **ending), await server.names(names[0])]
    found["no second time"] = await server.carried_out("job-terminate", **listed, **ending)
    found["closed"] = await server.carried_out("job-closed", **listed, **ending)
    found["refuses"] = await server.carried_out("job-refuses", executions=[run_of(names[0])], **signal)
    found["delete"] = await server.carried_out("job-delete", **listed, deletion_operation=BatchOperationDeletion())
    found["stopped late"] = await server.ask("stop_batch_operation", api.StopBatchOperationRequest, job_id="job-delete", reason="why")
    listing = [None, None]
    for _ in range(50):
        listing = await server.answer("list_batch_operations", api.ListBatchOperationsRequest)
        if all(info.state == 2 for info in listing.operation_info):
            break
        await asyncio.sleep(0.1)
    found["listed"] = blanked(MessageToDict(listing))
    page, token = [], b""
    while True:
        told = await server.answer("list_batch_operations", api.ListBatchOperationsRequest, page_size=2, next_page_token=token)
        page.append([info.job_id for info in told.operation_info])
        token = told.next_page_token
        if not token:
            break
    found["pages"] = [job for jobs in page for job in jobs]
    return found


async def main() -> None:
    client = await Client.connect(sys.argv[1], namespace=sys.argv[2])
    server = Server(client, sys.argv[2])
    parts = (
        refusals, paused_activities, reset_activities, activity_options, paused_workflows, options, eager, batch_refusals, batches
    )  # fmt: skip
    results = [await asyncio.wait_for(part(server), 120) for part in parts]
    found = dict(zip((part.__name__ for part in parts), results))
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    asyncio.run(main())
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
