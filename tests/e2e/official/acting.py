"""What operators do to running workflows and activities, asked of a server; what came of each is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal.
"""

import asyncio

from google.protobuf.json_format import MessageToDict
from hand import Server, activity, blanked, end, run, run_of, seconds, timer
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, RetryPolicy, WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentVersion
from temporalio.api.failure.v1 import Failure
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api


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


if __name__ == "__main__":
    run((refusals, paused_activities, reset_activities, activity_options, paused_workflows, options, eager))
