"""Nexus operations as workflows call them and handlers answer them: what the caller is told, and both histories.

Arguments: address, namespace, file to write. The same script runs against the embedded engine and against Temporal's own server,
and what it finds has to be equal; so nothing is noted that differs from run to run.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from datetime import timedelta

import nexusrpc
import nexusrpc.handler
from google.protobuf.json_format import MessageToDict
from temporalio import nexus, workflow
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice.v1 import CreateNexusEndpointRequest
from temporalio.api.history.v1 import History
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import NexusOperationCancellationType

from hand import RUN, blanked, run_of

CALLERS, HANDLERS = "callers", "handlers"


@dataclass
class Wanted:
    """What a caller is to call, and how."""

    operation: str
    input: str = "a"
    endpoint: str = "shop"
    schedule_to_close: float | None = None
    schedule_to_start: float | None = None
    start_to_close: float | None = None
    cancellation: str = "WAIT_COMPLETED"
    cancels: bool = False


@nexusrpc.service
class Shop:
    echo: nexusrpc.Operation[str, str]
    run: nexusrpc.Operation[str, str]
    join: nexusrpc.Operation[str, str]
    refuse: nexusrpc.Operation[str, str]
    cancel: nexusrpc.Operation[str, str]
    wrong: nexusrpc.Operation[str, str]
    stumble: nexusrpc.Operation[str, str]
    stubborn: nexusrpc.Operation[str, str]


@workflow.defn
class Handled:
    """What stands behind an operation: ends as it is told."""

    def __init__(self) -> None:
        self.may_end = False

    @workflow.signal
    def end(self) -> None:
        self.may_end = True

    @workflow.run
    async def run(self, how: str) -> str:
        if how == "fail":
            raise ApplicationError("it failed", "what was wrong", type="Sold")
        if how in ("wait", "linger", "shield"):
            try:
                await workflow.wait_condition(lambda: False)
            except asyncio.CancelledError:
                if how == "wait":
                    raise
                # The operation's end and the handler's answer to the cancellation would otherwise race.
                await workflow.wait_condition(lambda: self.may_end)
                if how == "linger":
                    raise
                return "would not stop"
        if how == "again" and not workflow.info().continued_run_id:
            workflow.continue_as_new(how)
        return f"handled {how}"


stumbles: dict[str, int] = {}


@nexusrpc.handler.service_handler(service=Shop)
class Handler:
    @nexusrpc.handler.sync_operation
    async def echo(self, ctx: nexusrpc.handler.StartOperationContext, input: str) -> str:
        told = sorted(name for name in ctx.headers if name not in ("request-timeout", "operation-timeout"))
        return json.dumps([input, told, [link.type for link in ctx.inbound_links], bool(ctx.callback_url)])

    @nexus.workflow_run_operation
    async def run(self, ctx: nexus.WorkflowRunOperationContext, input: str) -> nexus.WorkflowHandle[str]:
        id, how = input.split(":")
        return await ctx.start_workflow(Handled.run, how, id=id)

    @nexus.workflow_run_operation
    async def join(self, ctx: nexus.WorkflowRunOperationContext, input: str) -> nexus.WorkflowHandle[str]:
        policy = WorkflowIDConflictPolicy.USE_EXISTING
        return await ctx.start_workflow(Handled.run, "wait", id=input, id_conflict_policy=policy)

    @nexusrpc.handler.sync_operation
    async def refuse(self, ctx: nexusrpc.handler.StartOperationContext, input: str) -> str:
        state = nexusrpc.OperationErrorState.FAILED
        raise nexusrpc.OperationError("sold out", state=state) from ApplicationError("none left", type="Stock")

    @nexusrpc.handler.sync_operation
    async def cancel(self, ctx: nexusrpc.handler.StartOperationContext, input: str) -> str:
        raise nexusrpc.OperationError("called off", state=nexusrpc.OperationErrorState.CANCELED)

    @nexusrpc.handler.sync_operation
    async def wrong(self, ctx: nexusrpc.handler.StartOperationContext, input: str) -> str:
        if input == "application":
            raise ApplicationError("not like that", "a detail", type="Bad", non_retryable=True)
        raise nexusrpc.HandlerError(f"it is {input}", type=nexusrpc.HandlerErrorType[input], retryable_override=False)

    @nexusrpc.handler.sync_operation
    async def stumble(self, ctx: nexusrpc.handler.StartOperationContext, input: str) -> str:
        stumbles[input] = stumbles.get(input, 0) + 1
        if input == "always" or stumbles[input] < 3:
            raise nexusrpc.HandlerError("not yet", type=nexusrpc.HandlerErrorType.UNAVAILABLE)
        return f"at attempt {stumbles[input]}"

    @nexusrpc.handler.operation_handler
    def stubborn(self) -> nexusrpc.handler.OperationHandler[str, str]:
        return Stubborn()


class Stubborn(nexusrpc.handler.OperationHandler[str, str]):
    """Starts, never ends, and takes no cancellation."""

    async def start(self, ctx, input):
        return nexusrpc.handler.StartOperationResultAsync(token="a token")

    async def cancel(self, ctx, token):
        kind = nexusrpc.HandlerErrorType.NOT_IMPLEMENTED
        raise nexusrpc.HandlerError(f"no end to {token}", type=kind)


def chain(error: BaseException | None) -> list:
    """An exception and its causes, each by its kind and what it says."""
    found = []
    while error is not None:
        kind = getattr(error, "type", "")
        found.append([type(error).__name__, str(getattr(error, "message", error)), str(getattr(kind, "name", kind))])
        error = error.__cause__
    return found


@workflow.defn
class Caller:
    def __init__(self) -> None:
        self.signals = 0

    @workflow.signal
    def go(self) -> None:
        self.signals += 1

    @workflow.run
    async def run(self, wanted: Wanted) -> list:
        client = workflow.create_nexus_client(service=Shop, endpoint=wanted.endpoint)
        limit = lambda seconds: None if seconds is None else timedelta(seconds=seconds)  # noqa: E731
        found = []
        try:
            handle = await client.start_operation(
                wanted.operation, wanted.input, output_type=str, summary="a call", headers={"Tenant": "one"},
                schedule_to_close_timeout=limit(wanted.schedule_to_close),
                schedule_to_start_timeout=limit(wanted.schedule_to_start),
                start_to_close_timeout=limit(wanted.start_to_close),
                cancellation_type=NexusOperationCancellationType[wanted.cancellation],
            )  # fmt: skip
            found.append("a token" if handle.operation_token else "no token")
            if wanted.cancels:
                await workflow.wait_condition(lambda: self.signals >= 1)
                handle.cancel()
            found.append(await handle)
        except (FailureError, asyncio.CancelledError) as error:
            found.append(chain(error))
        if wanted.cancels:
            # What was asked for on the way out is to be there, too.
            await workflow.wait_condition(lambda: self.signals >= 2)
        return found


BLANK = {
    "endpointId", "eventId", "firstWorkflowTaskBackoff", "identity", "prevAutoResetPoints", "registrationTime", "requestedEventId",
    "stackTrace", "workflowTaskCompletedEventId",
}  # fmt: skip


def without(value):
    if isinstance(value, dict):
        if "header" in value and "url" in value:
            value = {**value, "header": sorted(value["header"])}
        return {key: without(inner) for key, inner in value.items() if key not in BLANK}
    if isinstance(value, list):
        return [without(inner) for inner in value]
    return RUN.sub("id", value) if isinstance(value, str) else value


def told(message) -> dict:
    return without(blanked(MessageToDict(message)))


class Test:
    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace

    async def events(self, id: str, about: str = "NEXUS") -> list:
        """Events of a workflow's last run. Between those that are about Nexus others come as they may."""
        history = await self.client.get_workflow_handle(id).fetch_history()
        events = [told(event) for event in History(events=history.events).events]
        return [event for event in events if about in event["eventType"]]

    async def start(self, id: str, wanted: Wanted, **how):
        return await self.client.start_workflow(Caller.run, wanted, id=id, task_queue=CALLERS, **how)

    async def call(self, id: str, wanted: Wanted, **how) -> dict:
        """Calls, and tells what came of it."""
        return await self.end(await self.start(id, wanted, **how))

    async def end(self, handle) -> dict:
        try:
            result = await asyncio.wait_for(handle.result(), 60)
        except WorkflowFailureError as error:
            result = chain(error)
        return {"result": result, "events": await self.events(handle.id)}

    async def described(self, id: str) -> dict:
        request = DescribeWorkflowExecutionRequest(namespace=self.namespace, execution=run_of(id))
        return told(await self.client.workflow_service.describe_workflow_execution(request))

    async def callbacks(self, id: str) -> list:
        """Callbacks of a workflow that has closed, once a server has made them."""
        found = await self.until(id, lambda told: "SUCCEEDED" in str(told) or "FAILED" in str(told), "callbacks")
        for callback in found:
            callback.pop("lastAttemptFailure", None)  # its text is the server's way's
        # The server keeps them in no order.
        return sorted(found, key=lambda callback: str(callback["callback"].get("links")))

    async def started(self, id: str) -> list:
        return await self.until(id, lambda told: "STARTED" in str(told), "pendingNexusOperations")

    async def until(self, id: str, holds, field: str):
        for _ in range(200):
            told = (await self.described(id)).get(field, [])
            if holds(told):
                return told
            await asyncio.sleep(0.05)
        raise AssertionError(f"{id}: {told}")

    async def happened(self, id: str, *kinds: str) -> None:
        """Waits for an event of one of these kinds."""
        for _ in range(600):
            if any(event["eventType"].endswith(kinds) for event in await self.events(id)):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{id}: no {kinds}: {await self.events(id)}")

    async def handled(self, id: str) -> dict:
        """The history of what stands behind an operation, and who was told of its end."""
        events = await self.events(id, "WORKFLOW_EXECUTION")
        return {"events": events, "callbacks": await self.callbacks(id)}


async def synchronous(test):
    limits = {"schedule_to_close": 30, "schedule_to_start": 40, "start_to_close": 20}
    found = {
        "echo": await test.call("echo", Wanted("echo")),
        "limited": await test.call("limited", Wanted("echo", **limits)),
        "in a run of limited time": await test.call("in-time", Wanted("echo"), run_timeout=timedelta(seconds=50)),
        "refused": await test.call("refused", Wanted("refuse")),
        "canceled": await test.call("canceled", Wanted("cancel")),
        "tried again": await test.call("again", Wanted("stumble", "again")),
    }
    for kind in ("application", "BAD_REQUEST", "NOT_FOUND", "INTERNAL"):
        found[kind] = await test.call(f"wrong-{kind}", Wanted("wrong", kind))
    return found


async def by_workflow(test):
    found = {}
    for how in ("well", "fail", "again"):
        found[how] = await test.call(f"by-{how}", Wanted("run", f"for-{how}:{how}"))
        found[f"{how}: handler"] = await test.handled(f"for-{how}")
    for how in ("terminate", "cancel"):
        caller = await test.start(f"by-{how}", Wanted("run", f"for-{how}:wait"))
        found[f"{how}: pending"] = await test.started(caller.id)
        await getattr(test.client.get_workflow_handle(f"for-{how}"), how)()
        found[how] = await test.end(caller)
        found[f"{how}: handler"] = await test.handled(f"for-{how}")
    return found


async def joined(test):
    """Two operations behind which one workflow stands, and a caller that is gone before its end."""
    first = await test.start("first", Wanted("join", "joined"))
    await test.started("first")
    second = await test.start("second", Wanted("join", "joined"))
    await test.started("second")
    third = await test.start("third", Wanted("join", "joined"))
    await test.started("third")
    await third.terminate()
    await test.client.get_workflow_handle("joined").cancel()
    found = {"first": await test.end(first), "second": await test.end(second)}
    found["handler"] = await test.handled("joined")
    return found


async def limits(test):
    away = Wanted("echo", endpoint="away", schedule_to_start=2)
    return {
        "to start": await test.call("to-start", away),
        "from start": await test.call("from-start", Wanted("stubborn", start_to_close=1)),
        "to close": await test.call("to-close", Wanted("stubborn", schedule_to_close=4)),
    }


async def cancellations(test):
    async def one(kind: str, operation: str, input: str) -> dict:
        wanted = Wanted(operation, input, cancellation=kind, cancels=True)
        caller = await test.start(f"{operation}-{kind}-{input[:2]}", wanted)
        await test.started(caller.id)
        await caller.signal(Caller.go)
        if kind != "ABANDON":
            await test.happened(caller.id, "CANCEL_REQUEST_COMPLETED", "CANCEL_REQUEST_FAILED")
            if operation == "run":
                await test.client.get_workflow_handle(input.split(":")[0]).signal(Handled.end)
                await test.happened(caller.id, "OPERATION_CANCELED", "OPERATION_COMPLETED")
        await caller.signal(Caller.go)
        return await test.end(caller)

    found = {}
    for kind in ("ABANDON", "TRY_CANCEL", "WAIT_REQUESTED", "WAIT_COMPLETED"):
        found[f"{kind}: a workflow"] = await one(kind, "run", f"of-{kind}:linger")
        if kind != "WAIT_COMPLETED":
            found[f"{kind}: refused"] = await one(kind, "stubborn", "a")
    found["that is not heeded"] = await one("WAIT_COMPLETED", "run", "unheeded:shield")
    return found


async def main(address: str, namespace: str, file: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    for name, queue in {"shop": HANDLERS, "away": "nobody"}.items():
        target = EndpointTarget(worker=EndpointTarget.Worker(namespace=namespace, task_queue=queue))
        spec = EndpointSpec(name=name, target=target)
        await client.operator_service.create_nexus_endpoint(CreateNexusEndpointRequest(spec=spec))
    test, plain = Test(client, namespace), UnsandboxedWorkflowRunner()
    callers = Worker(client, task_queue=CALLERS, workflows=[Caller], workflow_runner=plain)
    handlers = Worker(
        client, task_queue=HANDLERS, workflows=[Handled], nexus_service_handlers=[Handler()], workflow_runner=plain
    )
    async with callers, handlers:
        parts = (synchronous, by_workflow, joined, limits, cancellations)
        found = dict(zip([part.__name__ for part in parts], await asyncio.gather(*(part(test) for part in parts))))
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
