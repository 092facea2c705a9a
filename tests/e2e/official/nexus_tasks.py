"""Nexus by hand: commands of workflows, requests as workers get them, every kind of answer, timeouts, cancellations, and what is
attached to workflows for their sake.

Arguments: address, namespace, file to write. What is found is compared between the engine and Temporal's own server, so nothing
is noted that differs from run to run.
"""

import asyncio
import re

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from hand import RUN, blanked, run, run_of, seconds
from nexus_endpoints import Operator, spec, worker
from temporalio.api.command.v1 import (
    Command,
    RequestCancelNexusOperationCommandAttributes,
    ScheduleNexusOperationCommandAttributes,
)
from temporalio.api.common.v1 import Callback, Payload
from temporalio.api.common.v1 import Link as EventLink
from temporalio.api.failure.v1 import (
    ApplicationFailureInfo,
    CanceledFailureInfo,
    Failure,
    NexusHandlerFailureInfo,
    TimeoutFailureInfo,
)
from temporalio.api.nexus import v1 as nexus
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import OnConflictOptions
from temporalio.api.workflowservice import v1 as api

# What differs from run to run in what is told of Nexus.
BLANK = {"endpointId", "registrationTime", "requestedTime", "identity", "workflowTaskCompletedEventId", "taskQueue"}
TIME = re.compile(r"[\d.]+(ms|s)")
Async, Sync = nexus.StartOperationResponse.Async, nexus.StartOperationResponse.Sync


def schedule(endpoint: str, **fields) -> Command:
    attributes = ScheduleNexusOperationCommandAttributes(**{"endpoint": endpoint, "service": "s", "operation": "o", **fields})
    return Command(command_type="COMMAND_TYPE_SCHEDULE_NEXUS_OPERATION", schedule_nexus_operation_command_attributes=attributes)


def cancel(scheduled: int) -> Command:
    attributes = RequestCancelNexusOperationCommandAttributes(scheduled_event_id=scheduled)
    return Command(
        command_type="COMMAND_TYPE_REQUEST_CANCEL_NEXUS_OPERATION", request_cancel_nexus_operation_command_attributes=attributes
    )


def started(**variant) -> nexus.Response:
    return nexus.Response(start_operation=nexus.StartOperationResponse(**variant))


def handler(kind: str, **more) -> Failure:
    return Failure(message="m", nexus_handler_failure_info=NexusHandlerFailureInfo(type=kind, **more))


def without(value):
    if isinstance(value, dict):
        return {key: without(inner) for key, inner in value.items() if key not in BLANK}
    if isinstance(value, list):
        return [without(inner) for inner in value]
    return RUN.sub("id", value) if isinstance(value, str) else value


def told(message) -> dict:
    return without(blanked(MessageToDict(message)))


class Nexus:
    """One server, and one endpoint with a queue of its name."""

    def __init__(self, server, endpoint: str) -> None:
        self.server, self.endpoint, self.number = server, endpoint, 0

    async def made(self):
        await Operator(self.server).create(spec(self.endpoint, worker(queue=self.endpoint)))
        return self

    async def call(self, *commands: Command) -> tuple:
        """A workflow with these commands for its first task, and what is told of them."""
        self.number += 1
        id = f"{self.endpoint}-{self.number}"
        await self.server.start(id)
        task = await self.server.task(id)
        return id, await self.server.complete(task, *(commands or [schedule(self.endpoint)]))

    async def poll(self):
        """The next request, which is there."""
        task = await self.server.answer(
            "poll_nexus_task_queue", api.PollNexusTaskQueueRequest, 70, task_queue=TaskQueue(name=self.endpoint), identity="w"
        )
        assert task.task_token, f"no request on {self.endpoint}"
        return task

    async def done(self, task, response=None):
        return await self.server.ask(
            "respond_nexus_task_completed", api.RespondNexusTaskCompletedRequest, task_token=task.task_token, response=response
        )

    async def failed(self, task, **how):
        return await self.server.ask(
            "respond_nexus_task_failed", api.RespondNexusTaskFailedRequest, task_token=task.task_token, **how
        )

    async def events(self, id: str) -> list:
        """Events of a workflow that are about Nexus, or about a task that has failed."""
        found = await self.server.answer(
            "get_workflow_execution_history", api.GetWorkflowExecutionHistoryRequest, execution=run_of(id)
        )
        events = [told(event) for event in found.history.events]
        return [event for event in events if "NEXUS" in event["eventType"] or "FAILED" in event["eventType"]]

    async def described(self, id: str):
        return await self.server.answer(
            "describe_workflow_execution", api.DescribeWorkflowExecutionRequest, execution=run_of(id)
        )

    async def pending(self, id: str) -> list:
        operations = (await self.described(id)).pending_nexus_operations
        return [told(operation) for operation in sorted(operations, key=lambda operation: operation.scheduled_event_id)]

    async def after(self, id: str, was: int, attempts: bool = True) -> dict:
        """What has become of an operation, once that is there to see: a server takes an answer and looks at it later.

        That is an event, or with `attempts` also an attempt that failed."""
        for _ in range(100):
            events, pending = await self.events(id), await self.pending(id)
            if len(events) > was or (attempts and any(operation.get("attempt") for operation in pending)):
                break
            await asyncio.sleep(0.05)
        return {"events": events[was:], "pending": pending}

    async def end(self, id: str) -> None:
        await self.server.ask(
            "terminate_workflow_execution", api.TerminateWorkflowExecutionRequest, workflow_execution=run_of(id)
        )


async def commands(server):
    it = await Nexus(server, "commands").made()
    of = lambda **fields: schedule(it.endpoint, **fields)  # noqa: E731
    cases = {
        "unknown endpoint": [schedule("nobody")],
        "thirty": [of() for _ in range(30)],
        "one too many": [of() for _ in range(31)],
        "a header that is not theirs": [of(nexus_header={"Request-Timeout": "x"})],
        "large headers": [of(nexus_header={"a": "x" * 9000})],
        "a long service": [of(service="x" * 1001)],
        "a long operation": [of(operation="x" * 1001)],
        "no names": [of(service="", operation="")],
        "negative to close": [of(schedule_to_close_timeout=Duration(seconds=-1))],
        "negative to start": [of(schedule_to_start_timeout=Duration(seconds=-1))],
        "negative from start": [of(start_to_close_timeout=Duration(seconds=-1))],
        "a large input": [of(input=Payload(data=b"x" * 2_100_000))],
        "cancel nothing": [cancel(5)],
        "cancel at once": [of(), cancel(5)],
        "cancel twice": [of(), cancel(5), cancel(5)],
    }
    found = {}
    for name, given in cases.items():
        id, answer = await it.call(*given)
        events = await it.events(id)
        found[name] = [answer, events if len(events) < 5 else len(events), (await it.pending(id))[:2]]
        await it.end(id)
    return found


async def requests(server):
    """What a worker is told, and what comes of answers that are late, empty, or of somebody else."""
    it = await Nexus(server, "requests").made()
    payload = Payload(data=b"x", metadata={"encoding": b"json/plain"})
    header = {"Ten-Ant": "one"}
    limits = {"schedule_to_close_timeout": seconds(60), "start_to_close_timeout": seconds(30)}
    id, _ = await it.call(schedule(it.endpoint, input=payload, nexus_header=header, **limits))

    def shown(task):
        found = told(task)["request"]
        found["header"] = {name: TIME.sub("time", value) for name, value in sorted(found["header"].items())}
        start = found.get("startOperation", {})
        start["callbackHeader"] = sorted(start.get("callbackHeader", {}))
        return found

    task = await it.poll()
    found = {"start": shown(task)}
    links = [
        nexus.Link(
            type="temporal.api.common.v1.Link.WorkflowEvent",
            url="temporal:///namespaces/n/workflows/w%2F1/r/history?eventID=3&eventType=TimerStarted&referenceType=EventReference",
        ),
        nexus.Link(type="temporal.api.common.v1.Link.WorkflowEvent", url="temporal:///namespaces/n"),
        nexus.Link(type="other", url="http://example.com"),
    ]
    for name, answer in {
        "no token": it.failed(task),
        "a failure of another kind": it.failed(task, failure=Failure(message="m")),
        "no operation token": it.done(task, started(async_success=Async())),
        "a long operation token": it.done(task, started(async_success=Async(operation_token="t" * 4097))),
        "started": it.done(task, started(async_success=Async(operation_token="token", links=links))),
        "late": it.done(task, started(async_success=Async(operation_token="token"))),
        "late failure": it.failed(task, failure=handler("INTERNAL")),
    }.items():
        found[name] = await answer
    nobody = api.PollNexusTaskQueueResponse(task_token=b"\x01bad")
    found["of nobody"] = await it.done(nobody)
    found["of nothing"] = await it.done(api.PollNexusTaskQueueResponse())
    found["no queue"] = await server.ask("poll_nexus_task_queue", api.PollNexusTaskQueueRequest)
    found["then"] = await it.after(id, 1)
    await server.complete(await server.task(id), cancel(5))
    task = await it.poll()
    found["cancel"] = shown(task)
    found["cancel is taken"] = await it.done(task, nexus.Response(cancel_operation=nexus.CancelOperationResponse()))
    found["at last"] = await it.after(id, 3, attempts=False)
    return found


LEGACY = nexus.Failure(message="legacy", metadata={"a": "b"}, details=b'{"x":1}')
TEMPORALS = nexus.Failure(
    message="temporal",
    metadata={"type": "temporal.api.failure.v1.Failure"},
    details=b'{"applicationFailureInfo":{"type":"T","nonRetryable":true}}',
    stack_trace="st",
)
UNSUCCESSFUL = nexus.UnsuccessfulOperationError


async def answers(server):
    it = await Nexus(server, "answers").made()
    of = lambda state, failure=None: started(operation_error=UNSUCCESSFUL(operation_state=state, failure=failure))  # noqa: E731
    failure = lambda **info: started(failure=Failure(message="f", **info))  # noqa: E731
    completed = {
        "a result": started(sync_success=Sync(payload=Payload(data=b"1", metadata={"encoding": b"json/plain"}))),
        "no result": started(sync_success=Sync()),
        "a large result": started(sync_success=Sync(payload=Payload(data=b"x" * 2_100_000))),
        "started with an id": started(async_success=Async(operation_id="id")),
        "failed, as of old": of("failed", LEGACY),
        "canceled, as of old": of("canceled", LEGACY),
        "failed with a failure of Temporal's": of("failed", TEMPORALS),
        "canceled with a failure of Temporal's": of("canceled", TEMPORALS),
        "failed": failure(application_failure_info=ApplicationFailureInfo(type="X")),
        "canceled": failure(canceled_failure_info=CanceledFailureInfo()),
        "failed with nothing": failure(),
        "failed in time": failure(timeout_failure_info=TimeoutFailureInfo(timeout_type=1)),
        "no state": of("what"),
        "no variant": started(),
        "nothing": nexus.Response(),
        "of a cancellation": nexus.Response(cancel_operation=nexus.CancelOperationResponse()),
    }
    errors = {
        "bad request, as of old": {"error": nexus.HandlerError(error_type="BAD_REQUEST", failure=LEGACY)},
        "internal, as of old": {"error": nexus.HandlerError(error_type="INTERNAL", failure=LEGACY)},
        "without a failure": {"error": nexus.HandlerError(error_type="BAD_REQUEST")},
        "with a failure of Temporal's": {"error": nexus.HandlerError(error_type="NOT_FOUND", failure=TEMPORALS)},
        "not again, as of old": {"error": nexus.HandlerError(error_type="INTERNAL", failure=LEGACY, retry_behavior=2)},
        "again, as of old": {"error": nexus.HandlerError(error_type="BAD_REQUEST", failure=LEGACY, retry_behavior=1)},
        "not again": {"failure": handler("INTERNAL", retry_behavior=2)},
        "again": {"failure": handler("BAD_REQUEST", retry_behavior=1)},
    }
    kinds = (
        "BAD_REQUEST UNAUTHENTICATED UNAUTHORIZED NOT_FOUND CONFLICT RESOURCE_EXHAUSTED INTERNAL NOT_IMPLEMENTED UNAVAILABLE "
        "REQUEST_TIMEOUT UPSTREAM_TIMEOUT UNKNOWN OTHER"
    )
    errors |= {kind: {"failure": handler(kind)} for kind in kinds.split()}
    found = {}
    for name, how in [*completed.items(), *errors.items()]:
        id, _ = await it.call()
        task = await it.poll()
        told = await (it.failed(task, **how) if name in errors else it.done(task, how))
        found[name] = [told, await it.after(id, 1)]
        await it.end(id)
    return found


async def limits(server):
    """Operations that nobody answers end in time."""
    it = await Nexus(server, "limits").made()
    found = {}
    for name, given in {
        "no time to close": {"schedule_to_close_timeout": seconds(1)},
        "no time to start": {"schedule_to_start_timeout": seconds(1)},
        "to close": {"schedule_to_close_timeout": seconds(3)},
        "to start": {"schedule_to_start_timeout": seconds(3), "schedule_to_close_timeout": seconds(40)},
        "longer than the whole": {"schedule_to_start_timeout": seconds(9), "schedule_to_close_timeout": seconds(1)},
    }.items():
        id, _ = await it.call(schedule(it.endpoint, **given))
        await server.task(id)
        found[name] = await it.events(id)
    waits, _ = await it.call(schedule(it.endpoint, start_to_close_timeout=seconds(1)))
    while not (await it.events(waits))[1:]:
        task = await it.poll()
        # Those before are here, too, where a worker finds what nobody waits for any more.
        await it.done(task, started(async_success=Async(operation_token="t")))
    await server.complete(await server.task(waits))
    await server.task(waits)
    found["from start"] = await it.events(waits)
    return found


async def early(server):
    """A cancellation before the start goes out once there is something to cancel, and as often as it has to."""
    it = await Nexus(server, "early").made()
    id, _ = await it.call()
    task = await it.poll()
    await server.ask(
        "signal_workflow_execution", api.SignalWorkflowExecutionRequest, workflow_execution=run_of(id), signal_name="go"
    )
    found = {"asked for": await server.complete(await server.task(id), cancel(5)), "not yet": await it.pending(id)}
    await it.done(task, started(async_success=Async(operation_token="t")))
    workflow = await server.task(id)
    found["started"] = [await it.events(id), await it.pending(id)]
    task = await it.poll()
    await it.failed(task, failure=handler("INTERNAL"))
    for _ in range(100):
        found["again"] = await it.pending(id)
        if "BACKING" in found["again"][0]["cancellationInfo"].get("state", ""):
            break
        await asyncio.sleep(0.05)
    await it.failed(await it.poll(), failure=handler("NOT_FOUND"))
    await server.complete(workflow)
    await server.task(id)
    found["refused"] = [await it.events(id), await it.pending(id)]
    return found


def to_nobody(**header) -> Callback:
    return Callback(nexus=Callback.Nexus(url="temporal://system", header=header))


async def attached(server):
    """Callbacks and links of starts, and of those that find a run."""
    it = Nexus(server, "attached")
    url = lambda text: Callback(nexus=Callback.Nexus(url=text))  # noqa: E731
    link = EventLink(workflow_event=EventLink.WorkflowEvent(namespace="n", workflow_id="w", run_id="r"))
    cases = {
        "over http": [url("http://127.0.0.1:1/x")],
        "elsewhere": [url("temporal://other")],
        "no url": [url("foo")],
        "a long url": [url("temporal://system" * 100)],
        "nothing": [Callback()],
        "an internal one": [Callback(internal=Callback.Internal(data=b"x"))],
        "large headers": [to_nobody(a="x" * 10_000)],
        "too many": [to_nobody()] * 2_001,
    }
    found = {name: await server.start("refused", completion_callbacks=given) for name, given in cases.items()}
    for name, callback in {"no token": to_nobody(), "a wrong token": to_nobody(**{"temporal-callback-token": "zz"})}.items():
        await server.start(name, completion_callbacks=[callback], links=[link])
        await it.end(name)
        for _ in range(100):
            callbacks = [told(callback) for callback in (await it.described(name)).callbacks]
            if "SCHEDULED" not in str(callbacks):
                break
            await asyncio.sleep(0.05)
        found[name] = callbacks
    await server.start("found", links=[link])
    everything = {"attach_request_id": True, "attach_completion_callbacks": True, "attach_links": True}
    for name, (request_id, options) in {
        "everything": ("one", everything),
        "everything again": ("one", everything),
        "no request id": ("two", {"attach_completion_callbacks": True}),
        "a request id": ("three", {"attach_request_id": True}),
        "links": ("four", {"attach_links": True}),
        "without options": ("five", None),
    }.items():
        answer = await server.ask(
            "start_workflow_execution", api.StartWorkflowExecutionRequest,
            **{**server.a_start("found"), "request_id": request_id}, workflow_id_conflict_policy=2,
            completion_callbacks=[to_nobody(a=name)], links=[link],
            on_conflict_options=options and OnConflictOptions(**options),
        )  # fmt: skip
        found[name] = answer
    history = await server.answer(
        "get_workflow_execution_history", api.GetWorkflowExecutionHistoryRequest, execution=run_of("found")
    )
    found["history"] = [without(MessageToDict(event).get("links", [])) for event in history.history.events]
    found["events"] = [told(event) for event in history.history.events]
    found["described"] = [told(callback) for callback in (await it.described("found")).callbacks]
    return found


if __name__ == "__main__":
    run([commands, requests, answers, limits, early, attached])
