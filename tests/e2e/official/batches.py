"""Batch operations, asked of a server; what came of each is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal.
"""

import asyncio

from google.protobuf.json_format import MessageToDict
from hand import Server, activity, blanked, mask, run, run_of, seconds
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
from temporalio.api.common.v1 import Execution, Priority, ResetOptions
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice import v1 as api


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


if __name__ == "__main__":
    run((batch_refusals, batches))
