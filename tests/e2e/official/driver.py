"""Workflows of Temporal's Python SDK against a server; what came of each is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run: no times, no ids of runs, no identities.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

from google.protobuf.json_format import MessageToDict
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowQueryFailedError
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, CancelledError, WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.worker import Worker

QUEUE = "official"
SECONDS = timedelta(seconds=1)
PATIENCE = 60 * SECONDS


@activity.defn
async def greet(name: str) -> str:
    return f"hello {name}"


@activity.defn
async def third_time_lucky() -> int:
    if activity.info().attempt < 3:
        raise ApplicationError("not yet", type="NotYet")
    return activity.info().attempt


@activity.defn
async def beats() -> str:
    for beat in range(3):
        activity.heartbeat(beat)
        await asyncio.sleep(0.05)
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "cancelled while beating"
    return "never"


@activity.defn
async def refuses() -> None:
    raise ApplicationError("no", "detail", type="Refused", non_retryable=True)


@workflow.defn
class Everyday:
    """Activities, a timer, a local activity, a retry."""

    @workflow.run
    async def run(self, name: str) -> list:
        said = await workflow.execute_activity(greet, name, start_to_close_timeout=PATIENCE)
        await workflow.sleep(0.05)
        local = await workflow.execute_local_activity(greet, "local", start_to_close_timeout=PATIENCE)
        attempts = await workflow.execute_activity(
            third_time_lucky,
            start_to_close_timeout=PATIENCE,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=20)),
        )
        return [said, local, attempts]


@workflow.defn
class Talks:
    """Signals, queries and a wait for them."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @workflow.run
    async def run(self) -> list[str]:
        await workflow.wait_condition(lambda: "bye" in self.heard)
        return self.heard

    @workflow.signal
    def hear(self, word: str) -> None:
        self.heard.append(word)

    @workflow.query
    def words(self) -> int:
        return len(self.heard)

    @workflow.query
    def broken(self) -> int:
        raise ValueError("this query is broken")


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(refuses, start_to_close_timeout=PATIENCE)


@workflow.defn
class Cancellable:
    @workflow.run
    async def run(self) -> str:
        task = workflow.start_activity(
            beats,
            start_to_close_timeout=PATIENCE,
            heartbeat_timeout=5 * SECONDS,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            return await task
        return "not cancelled"


@workflow.defn
class Child:
    @workflow.run
    async def run(self, number: int) -> int:
        if number < 0:
            raise ApplicationError("negative", type="Negative")
        return number * 2


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> list:
        doubled = await workflow.execute_child_workflow(Child.run, 21, id="parent-child-1")
        try:
            await workflow.execute_child_workflow(Child.run, -1, id="parent-child-2")
            failed = None
        except Exception as error:  # noqa: BLE001 - which one it is, is what is tested
            failed = f"{type(error).__name__}: {type(error.__cause__).__name__}: {error.__cause__}"
        return [doubled, failed]


@workflow.defn
class Continues:
    @workflow.run
    async def run(self, left: int) -> str:
        if left:
            workflow.continue_as_new(left - 1)
        return "done"


WORKFLOWS = [Everyday, Talks, Fails, Cancellable, Child, Parent, Continues]
ACTIVITIES = [greet, third_time_lucky, beats, refuses]

# What differs from run to run, or tells of the installation and not of the workflow.
BLANK = {
    "eventTime", "taskId", "requestId", "runId", "identity", "historySizeBytes", "namespaceId", "parentWorkflowNamespaceId",
    "originalExecutionRunId", "firstExecutionRunId", "continuedExecutionRunId", "newExecutionRunId",
    "workflowExecutionExpirationTime", "firstWorkflowTaskBackoff", "sdkMetadata", "workerVersion", "deployment",
    "deploymentVersion", "workerDeploymentVersion", "workerDeploymentName", "links", "stackTrace", "principal",
    "prevAutoResetPoints", "binaryChecksum", "backoffStartInterval",
}  # fmt: skip


# Where the history depends on when a signal or a child's end meets the worker.
UNSTEADY = {"history": None, "events": None}


def blanked(value):
    if isinstance(value, dict):
        if value.get("markerName") == "core_local_activity":  # holds the times of the activity
            value["details"].pop("data", None)
        return {
            key: ("queue" if key == "name" and value.get("kind") == "TASK_QUEUE_KIND_STICKY" else blanked(inner))
            for key, inner in value.items()
            if key not in BLANK
        }
    return [blanked(inner) for inner in value] if isinstance(value, list) else value


async def history(handle) -> list:
    return [blanked(MessageToDict(event)) async for event in handle.fetch_history_events()]


def failure(error: BaseException) -> list[str]:
    """The chain of causes, in words."""
    chain = []
    while error:
        chain.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    return chain


async def outcome(handle) -> dict:
    try:
        result = await handle.result(follow_runs=True)
    except WorkflowFailureError as error:
        result = failure(error.cause)
    description = await handle.describe()
    return {
        "result": result,
        "status": description.status.name,
        "type": description.workflow_type,
        "events": description.history_length,
        "history": await history(handle),
    }


async def refused(call) -> str:
    try:
        await call
    except (RPCError, WorkflowQueryFailedError, WorkflowAlreadyStartedError) as error:
        status = getattr(error, "status", None)
        return f"{type(error).__name__} {status.name if status else ''}: {error}"
    return "not refused"


async def everything(client: Client) -> dict:
    start = client.start_workflow
    found: dict = {}

    found["everyday"] = await outcome(await start(Everyday.run, "you", id="everyday", task_queue=QUEUE))

    talk = await start(Talks.run, id="talk", task_queue=QUEUE, memo={"why": "because"})
    await talk.signal(Talks.hear, "one")
    words = 0
    while words < 1:
        words = await talk.query(Talks.words)
    found["query"] = [words, await refused(talk.query(Talks.broken)), await refused(talk.query("nothing"))]
    found["memo"] = await (await talk.describe()).memo()
    same = await start(
        Talks.run, id="talk", task_queue=QUEUE, start_signal="hear", start_signal_args=["two"]
    )
    found["signal with start"] = same.id
    await talk.signal(Talks.hear, "bye")
    found["talk"] = {**await outcome(talk), **UNSTEADY}
    found["signal to the dead"] = await refused(talk.signal(Talks.hear, "late"))

    found["fails"] = await outcome(await start(Fails.run, id="fails", task_queue=QUEUE))

    cancellable = await start(Cancellable.run, id="cancellable", task_queue=QUEUE)
    while not (await cancellable.describe()).raw_description.pending_activities:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    await cancellable.cancel()
    found["cancelled"] = {**await outcome(cancellable), **UNSTEADY}

    found["parent"] = {**await outcome(await start(Parent.run, id="parent", task_queue=QUEUE)), **UNSTEADY}
    found["continues"] = await outcome(await start(Continues.run, 2, id="continues", task_queue=QUEUE))

    terminated = await start(Talks.run, id="terminated", task_queue=QUEUE)
    await terminated.terminate("enough")
    found["terminated"] = {**await outcome(terminated), **UNSTEADY}
    found["terminated again"] = await refused(terminated.terminate("more"))

    policies = []
    for conflict in (WorkflowIDConflictPolicy.FAIL, WorkflowIDConflictPolicy.USE_EXISTING):
        first = await start(Talks.run, id="twice", task_queue=QUEUE, id_conflict_policy=conflict)
        policies.append(await refused(start(Talks.run, id="twice", task_queue=QUEUE, id_conflict_policy=conflict)))
        await first.terminate()
    reuse = WorkflowIDReusePolicy.REJECT_DUPLICATE
    policies.append(await refused(start(Talks.run, id="twice", task_queue=QUEUE, id_reuse_policy=reuse)))
    found["policies"] = policies
    missing = client.get_workflow_handle("never-started")
    found["missing"] = [await refused(missing.describe()), await refused(missing.signal("hear", "x"))]

    wanted = "WorkflowType = 'Talks' AND ExecutionStatus = 'Terminated'"
    for _ in range(100):  # the server's listings lag a little
        found["listed"] = sorted([run.id async for run in client.list_workflows(wanted)])
        found["counted"] = (await client.count_workflows(wanted)).count
        if len(found["listed"]) == found["counted"] == 3:
            break
        await asyncio.sleep(0.1)
    # The engine says where the query is wrong, the server only that it is.
    found["bad filter"] = (await refused(client.count_workflows("WorkflowType ="))).split(":")[0]
    return found


async def main() -> None:
    client = await Client.connect(sys.argv[1], namespace=sys.argv[2])
    async with Worker(client, task_queue=QUEUE, workflows=WORKFLOWS, activities=ACTIVITIES):
        found = await asyncio.wait_for(everything(client), 120)
    with open(sys.argv[3], "w", encoding="utf-8") as file:  # standard output is the SDK's, for its log
        json.dump(found, file)


if __name__ == "__main__":
    asyncio.run(main())
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
