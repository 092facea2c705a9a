"""Standalone activities as operators treat them: paused, unpaused, reset, given other options, by themselves and in batches.
A client and a worker by hand; what they are told is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run.
"""

import asyncio
import json
import os
import sys
import uuid
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.batch.v1 import (
    BatchOperationCancelActivities,
    BatchOperationDeleteActivities,
    BatchOperationTermination,
    BatchOperationTerminateActivities,
)
from temporalio.api.common.v1 import (
    ActivityType,
    Callback,
    Execution,
    Link,
    OnConflictOptions,
    Payload,
    Payloads,
    RetryPolicy,
    WorkflowExecution,
)
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeActivityExecutionRequest,
    DescribeBatchOperationRequest,
    ListActivityExecutionsRequest,
    PauseActivityExecutionRequest,
    PollActivityTaskQueueRequest,
    RecordActivityTaskHeartbeatRequest,
    RequestCancelActivityExecutionRequest,
    ResetActivityExecutionRequest,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedRequest,
    StartActivityExecutionRequest,
    StartBatchOperationRequest,
    TerminateActivityExecutionRequest,
    UnpauseActivityExecutionRequest,
    UpdateActivityExecutionOptionsRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

# What differs from run to run, or tells of the client's own library.
VARIES = {"runId", "scheduleTime", "expirationTime", "executionTime", "stateSizeBytes", "sdkName", "sdkVersion",
          "executionDuration", "searchAttributes", "retryPolicy"}
# Times of which it matters that they are told.
TIMES = {"closeTime", "lastStartedTime", "lastHeartbeatTime", "lastAttemptCompleteTime", "nextAttemptScheduleTime"}
MANY = RetryPolicy(initial_interval=Duration(nanos=100_000_000), maximum_attempts=5)
RARE = RetryPolicy(initial_interval=Duration(seconds=60))
ONCE = RetryPolicy(maximum_attempts=1)


class Hand:
    """One client that is also a worker, and the list of what it was told."""

    def __init__(self, client, namespace):
        self.service, self.namespace, self.told = client.workflow_service, namespace, []

    async def ask(self, method, request):
        """Sends a request, and notes how it ends. Answers the response, or nothing."""
        request.namespace = self.namespace
        name = type(request).__name__.removesuffix("Request")
        try:
            response = await getattr(self.service, method)(request)
            told = MessageToDict(response)
            self.told.append([name, "OK", {key: told[key] for key in ("activityOptions", "activityPaused", "activityReset",
                              "cancelRequested", "started") if key in told}])
            return response
        except RPCError as error:
            self.told.append([name, error.status.name, error.message])
            return None

    async def start(self, id, **more):
        options = {"start_to_close_timeout": Duration(seconds=30), "request_id": f"start-{id}", **more}
        request = StartActivityExecutionRequest(
            activity_id=id, identity="client", activity_type=ActivityType(name="T"), task_queue=TaskQueue(name=id), **options
        )
        return await self.ask("start_activity_execution", request)

    async def task(self, id):
        """The next task of the queue of that name."""
        request = PollActivityTaskQueueRequest(namespace=self.namespace, task_queue=TaskQueue(name=id), identity="worker")
        task = await self.service.poll_activity_task_queue(request, timeout=timedelta(seconds=20))
        self.told.append(["task", task.activity_id, task.attempt])
        return task.task_token

    async def beat(self, token, details=None):
        payloads = Payloads(payloads=[Payload(data=details)]) if details else None
        await self.ask("record_activity_task_heartbeat", RecordActivityTaskHeartbeatRequest(task_token=token, details=payloads))

    async def fail(self, token, for_good=False):
        failure = Failure(message="no", application_failure_info=ApplicationFailureInfo(type="X", non_retryable=for_good))
        request = RespondActivityTaskFailedRequest(task_token=token, identity="worker", failure=failure)
        await self.ask("respond_activity_task_failed", request)

    async def pause(self, id, request_id="p1", **more):
        request = PauseActivityExecutionRequest(activity_id=id, identity="op", reason="why", request_id=request_id, **more)
        await self.ask("pause_activity_execution", request)

    async def unpause(self, id, request_id="u1", **more):
        request = UnpauseActivityExecutionRequest(activity_id=id, identity="op", request_id=request_id, **more)
        await self.ask("unpause_activity_execution", request)

    async def reset(self, id, request_id="r1", **more):
        request = ResetActivityExecutionRequest(activity_id=id, identity="op", request_id=request_id, **more)
        await self.ask("reset_activity_execution", request)

    async def options(self, id, request_id="o1", paths=None, **more):
        mask = {} if paths is None else {"update_mask": FieldMask(paths=paths)}
        request = UpdateActivityExecutionOptionsRequest(activity_id=id, identity="op", request_id=request_id, **mask, **more)
        await self.ask("update_activity_execution_options", request)

    async def look(self, id):
        """Notes how an activity is."""
        request = DescribeActivityExecutionRequest(
            namespace=self.namespace, activity_id=id, include_heartbeat_details=True, include_last_failure=True, include_outcome=True
        )
        try:
            answer = await self.service.describe_activity_execution(request)
        except RPCError as error:
            self.told.append(["look", id, error.status.name, error.message])
            return
        told = MessageToDict(answer.info)
        told = {key: True if key in TIMES else value for key, value in told.items() if key not in VARIES}
        told["links"] = sorted(sorted(link) for link in told.get("links", []))
        self.told.append(["look", told, MessageToDict(answer.outcome)])


async def waits(hand):
    """Paused before a worker has it, and between two attempts."""
    await hand.start("w")
    await hand.pause("w")
    await hand.look("w")
    await hand.pause("w")
    await hand.pause("w", "p2")
    await hand.reset("w", keep_paused=True)
    await hand.look("w")
    await hand.unpause("w")
    await hand.unpause("w")
    await hand.unpause("w", "u2")
    token = await hand.task("w")
    await hand.look("w")
    await hand.ask("respond_activity_task_completed", RespondActivityTaskCompletedRequest(task_token=token, identity="worker"))
    for act in (hand.pause, hand.unpause, hand.reset):
        await act("w", "late")
    await hand.options("w", "late", restore_original=True)
    await hand.start("b", retry_policy=RARE)
    await hand.fail(await hand.task("b"))
    await hand.look("b")
    await hand.pause("b")
    await hand.look("b")
    await hand.unpause("b")
    await hand.look("b")
    await hand.reset("b")
    await hand.look("b")
    await hand.task("b")
    for name, act in (("cancelled", "cancel"), ("ended", "terminate")):
        await hand.start(name)
        await hand.pause(name)
        if act == "cancel":
            request = RequestCancelActivityExecutionRequest(activity_id=name, identity="op", reason="c", request_id="c")
            await hand.ask("request_cancel_activity_execution", request)
        else:
            request = TerminateActivityExecutionRequest(activity_id=name, identity="op", reason="t", request_id="t")
            await hand.ask("terminate_activity_execution", request)
        await hand.look(name)


async def works(hand):
    """Paused and reset while a worker has it."""
    await hand.start("paused", retry_policy=RARE)
    token = await hand.task("paused")
    await hand.pause("paused")
    await hand.pause("paused", "p2")
    await hand.look("paused")
    await hand.beat(token, b"half")
    await hand.fail(token)
    await hand.look("paused")
    await hand.unpause("paused")
    await hand.look("paused")
    await hand.start("unpaused")
    token = await hand.task("unpaused")
    await hand.pause("unpaused")
    await hand.unpause("unpaused")
    await hand.beat(token)
    await hand.look("unpaused")
    for id, policy, for_good in (("last", ONCE, False), ("for good", MANY, True)):
        await hand.start(id, retry_policy=policy)
        token = await hand.task(id)
        await hand.pause(id)
        await hand.fail(token, for_good)
        await hand.look(id)
    for id, policy, for_good in (("reset", MANY, False), ("reset last", ONCE, False), ("reset for good", MANY, True)):
        await hand.start(id, retry_policy=policy)
        token = await hand.task(id)
        await hand.beat(token, b"half")
        await hand.reset(id, reset_heartbeat=id == "reset")
        await hand.pause(id)
        await hand.look(id)
        await hand.beat(token, b"all")
        await hand.fail(token, for_good)
        await hand.look(id)
        await hand.task(id)
    for keep in (True, False):
        id = f"both {keep}"
        await hand.start(id, retry_policy=MANY)
        token = await hand.task(id)
        await hand.pause(id)
        await hand.reset(id, keep_paused=keep)
        await hand.look(id)
        await hand.beat(token)
        await hand.fail(token)
        await hand.look(id)
    await hand.start("doomed")
    token = await hand.task("doomed")
    await hand.pause("doomed")
    request = RequestCancelActivityExecutionRequest(activity_id="doomed", identity="op", reason="c", request_id="c")
    await hand.ask("request_cancel_activity_execution", request)
    await hand.beat(token)
    for act in (hand.pause, hand.unpause, hand.reset):
        await act("doomed", "late")
    await hand.options("doomed", "late", restore_original=True)
    await hand.fail(token)
    await hand.look("doomed")


async def ends(hand):
    """Timeouts, paused or not."""
    short = {"schedule_to_close_timeout": Duration(seconds=2)}
    await hand.start("in all", **short)
    await hand.pause("in all")
    await hand.start("to start", schedule_to_start_timeout=Duration(seconds=1))
    await hand.pause("to start")
    await hand.start("to close", start_to_close_timeout=Duration(seconds=1))
    await hand.task("to close")
    await hand.pause("to close")
    await hand.start("delayed", start_delay=Duration(seconds=1))
    await hand.pause("delayed")
    await hand.start("held", **short)
    await hand.task("held")
    await hand.start("waits", **short)
    await hand.start("between", retry_policy=RetryPolicy(initial_interval=Duration(nanos=200_000_000)), **short)
    await hand.fail(await hand.task("between"))
    await asyncio.sleep(3.5)
    for id in ("in all", "to start", "to close", "delayed", "held", "waits", "between"):
        await hand.look(id)
    await hand.unpause("in all")
    await hand.unpause("delayed")
    await hand.task("delayed")


async def options(hand):
    seven = ActivityOptions(start_to_close_timeout=Duration(seconds=7), task_queue=TaskQueue(name="other"))
    await hand.start("o")
    await hand.options("o")
    await hand.options("o", activity_options=seven)
    await hand.options("o", activity_options=seven, paths=[])
    await hand.options("o", activity_options=seven, paths=["nonsense"])
    await hand.options("o", activity_options=seven, paths=["task_queue"])
    await hand.options("o", activity_options=seven, paths=["heartbeat_timeout"], restore_original=True)
    await hand.options("o", activity_options=seven, paths=["start_to_close_timeout", "task_queue.name"])
    await hand.look("o")
    await hand.task("other")
    await hand.options("o", "o2", activity_options=ActivityOptions(heartbeat_timeout=Duration(seconds=90)), paths=["heartbeat_timeout"])
    await hand.options("o", "o3", activity_options=ActivityOptions(heartbeat_timeout=Duration(seconds=-1)), paths=["heartbeat_timeout"])
    for number, path in enumerate(("start_to_close_timeout", "retry_policy", "task_queue.name", "start_delay")):
        await hand.options("o", f"empty-{number}", activity_options=ActivityOptions(), paths=[path])
    await hand.look("o")
    await hand.options("o", "back", restore_original=True)
    await hand.look("o")
    for act in (hand.pause, hand.unpause, hand.reset):
        for more in ({}, {"run_id": "x"}, {"workflow_id": "nobody"}, {"request_id": "x" * 1001}):
            await act("nobody", **more)
        await act("")
    await hand.options("nobody", restore_original=True)


async def starts(hand):
    run_id = str(uuid.uuid4())
    of_workflow = Link(workflow_event=Link.WorkflowEvent(namespace=hand.namespace, workflow_id="w", run_id=run_id))
    of_activity = Link(activity=Link.Activity(namespace=hand.namespace, activity_id="a", run_id=run_id))
    attach = OnConflictOptions(attach_request_id=True, attach_links=True)
    await hand.start("linked", links=[of_workflow])
    await hand.look("linked")
    await hand.start("linked", links=[of_activity], request_id="2", id_conflict_policy=2)
    await hand.look("linked")
    await hand.start("linked", links=[of_activity], request_id="3", id_conflict_policy=2, on_conflict_options=attach)
    await hand.look("linked")
    await hand.start("linked", request_id="3")
    await hand.start("x", on_conflict_options=attach)
    await hand.start("x", on_conflict_options=OnConflictOptions(attach_completion_callbacks=True))
    await hand.start("x", links=[Link()])
    await hand.start("x", links=[of_workflow] * 11)
    await hand.start("x", completion_callbacks=[Callback(nexus=Callback.Nexus(url="http://localhost:1/x"))])


async def batch(hand, **more):
    job = str(uuid.uuid4())
    request = StartBatchOperationRequest(job_id=job, reason="r", max_operations_per_second=50, **more)
    if await hand.ask("start_batch_operation", request) is None:
        return
    for _ in range(100):
        told = await hand.service.describe_batch_operation(DescribeBatchOperationRequest(namespace=hand.namespace, job_id=job))
        if told.state != 1:
            break
        await asyncio.sleep(0.1)
    told = MessageToDict(told)
    hand.told.append({key: value for key, value in told.items() if key not in ("jobId", "startTime", "closeTime")})


async def batches(hand):
    for id in ("b1", "b2", "b3", "b4"):
        await hand.start(id)
    await hand.pause("b1")
    count = ListActivityExecutionsRequest(namespace=hand.namespace, query="ActivityId IN ('b1', 'b2', 'b3', 'b4')")
    for _ in range(100):
        if len((await hand.service.list_activity_executions(count)).executions) == 4:
            break
        await asyncio.sleep(0.1)
    cancel = BatchOperationCancelActivities(identity="op", reason="why")
    await batch(hand, visibility_query="ActivityId = 'b1'", cancel_activities_operation=cancel)
    terminate = BatchOperationTerminateActivities(identity="op", reason="why")
    await batch(hand, visibility_query="ActivityId = 'b2'", terminate_activities_operation=terminate)
    await batch(hand, visibility_query="ActivityId = 'b3'", delete_activities_operation=BatchOperationDeleteActivities())
    for id in ("b1", "b2", "b3"):
        await hand.look(id)
    named = [Execution(business_id=id, type=2) for id in ("nobody", "b4")]
    await batch(hand, target_executions=named, cancel_activities_operation=cancel)
    await batch(hand, executions=[WorkflowExecution(workflow_id="b4")], cancel_activities_operation=cancel)
    await batch(hand, target_executions=[Execution(business_id="b4")], cancel_activities_operation=cancel)
    await batch(hand, target_executions=named, termination_operation=BatchOperationTermination())
    await batch(hand, cancel_activities_operation=cancel)


async def main(address, namespace, file):
    client = await Client.connect(address, namespace=namespace)

    async def told(part):
        hand = Hand(client, namespace)
        await part(hand)
        return part.__name__, {str(number): told for number, told in enumerate(hand.told)}

    found = dict(await asyncio.gather(*map(told, (waits, works, ends, options, starts, batches))))
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
