"""Search attributes and filters through Temporal's Python SDK; what was found is written down as JSON.

Arguments: address, namespace, file to write. As `driver.py`, it notes nothing that differs from run to run.
"""

import asyncio
import json
import os
import sys
import warnings
from datetime import datetime, timedelta, timezone

from temporalio import workflow
from temporalio.api.enums.v1 import IndexedValueType as Type
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
    RemoveSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import GetSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.worker import Worker

QUEUE = "visibility"
PREFIX = "seen-"

CUSTOMER = SearchAttributeKey.for_keyword("Customer")
NOTE = SearchAttributeKey.for_text("Note")
ATTEMPTS = SearchAttributeKey.for_int("Attempts")
WEIGHT = SearchAttributeKey.for_float("Weight")
PAID = SearchAttributeKey.for_bool("Paid")
DUE = SearchAttributeKey.for_datetime("Due")
TAGS = SearchAttributeKey.for_keyword_list("Tags")
UNKNOWN = SearchAttributeKey.for_keyword("Unknown")
TYPES = {
    "Customer": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "Note": Type.INDEXED_VALUE_TYPE_TEXT,
    "Attempts": Type.INDEXED_VALUE_TYPE_INT,
    "Weight": Type.INDEXED_VALUE_TYPE_DOUBLE,
    "Paid": Type.INDEXED_VALUE_TYPE_BOOL,
    "Due": Type.INDEXED_VALUE_TYPE_DATETIME,
    "Tags": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
MIDNIGHT = datetime(2026, 1, 1, tzinfo=timezone.utc)


@workflow.defn
class Waits:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Marks:
    """Changes its own attributes, gives some to a child, and goes on with others."""

    @workflow.run
    async def run(self, again: bool) -> list:
        if not again:
            return sorted(pair.key.name for pair in workflow.info().typed_search_attributes if pair.key.name in TYPES)
        workflow.upsert_search_attributes([ATTEMPTS.value_set(99), PAID.value_unset(), TAGS.value_set(["late"])])
        given = attributes((CUSTOMER, "child"))
        await workflow.execute_child_workflow(Child.run, id=f"{PREFIX}child", search_attributes=given)
        workflow.continue_as_new(False, search_attributes=attributes((CUSTOMER, "continued"), (WEIGHT, 2.5)))


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> str:
        return "done"


def attributes(*pairs) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(key, value) for key, value in pairs])


STARTED = {
    "one": attributes((CUSTOMER, "acme"), (NOTE, "Two words"), (ATTEMPTS, 1), (WEIGHT, 0.5), (PAID, True)),
    "two": attributes((CUSTOMER, "acorn"), (ATTEMPTS, 2), (PAID, False), (DUE, MIDNIGHT), (TAGS, ["red", "blue"])),
    "three": attributes((CUSTOMER, "it's"), (NOTE, "words alone"), (ATTEMPTS, -3), (WEIGHT, 2.0), (TAGS, ["blue"])),
    "four": attributes((DUE, MIDNIGHT + timedelta(days=1)), (WEIGHT, 7.0)),
    "five": attributes(),
}

FILTERS = [
    "Customer = 'acme'",
    "Customer != 'acme'",
    "Customer <> 'acme'",
    "Customer > 'acme' AND Customer <= 'it'",
    "Customer = 'it''s'",
    'Customer = "it\'s"',
    "Customer BETWEEN 'a' AND 'acn'",
    "Customer NOT BETWEEN 'a' AND 'acn'",
    "Customer IN ('acme', 'acorn', 'none')",
    "Customer NOT IN ('acme', 'none')",
    "Customer STARTS_WITH 'ac'",
    "Customer NOT STARTS_WITH 'ac'",
    "Customer IS NULL",
    "Customer IS NOT NULL AND NOT Customer = 'acme'",
    "`Customer` = 'acme' OR (Attempts = 2 AND Paid = false)",
    "Note = 'words'",
    "Note = 'two alone'",
    "Note != 'two'",
    "Note = '...'",
    "Note IS NULL",
    "Attempts = 2",
    "Attempts = 2.0",
    "Attempts > 1.5",
    "Attempts = -3",
    "Attempts BETWEEN -5 AND 1",
    "Attempts IN (1, 2)",
    "Attempts != 1",
    "NOT Attempts > 0",
    "Weight >= 0.5 && Weight < 5e0",
    "Weight = 7 || Weight = .5",
    "Paid = true",
    "Paid != true",
    "Paid > false",
    "Paid IS NULL",
    "Due > '2026-01-01T12:00:00Z'",
    "Due BETWEEN '2025-12-31T00:00:00Z' AND '2026-01-01T12:00:00+01:00'",
    "Due IS NOT NULL",
    "Tags = 'blue'",
    "Tags != 'blue'",
    "Tags IN ('red', 'green')",
    "Tags NOT IN ('red', 'green')",
    "Tags IS NULL",
    "ExecutionStatus = 'Terminated'",
    "ExecutionStatus = 1",
    "ExecutionStatus IN ('Running', 'Completed')",
    "ExecutionStatus != 'Running'",
    "ExecutionStatus = 'WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW'",
    "WorkflowType = 'Marks' AND CloseTime IS NOT NULL",
    "CloseTime IS NULL",
    "CloseTime < '2020-01-01T00:00:00Z'",
    "NOT CloseTime < '2020-01-01T00:00:00Z'",
    "StartTime > '2020-01-01T00:00:00Z' AND ExecutionTime > 0",
    "ExecutionDuration > '1ns' AND ExecutionDuration < '1d'",
    "ExecutionDuration IS NULL",
    "ExecutionDuration > '100:00:00'",
    "HistoryLength IS NULL",
    "HistoryLength > 3",
    "HistorySizeBytes > 1 AND StateTransitionCount >= 1",
    "TaskQueue = 'visibility'",
    "ParentWorkflowId = 'seen-marks'",
    "ParentRunId IS NULL",
    "RootWorkflowId = 'seen-marks'",
    "RootWorkflowId = 'seen-one' AND RootRunId IS NOT NULL",
    "ScheduleId = 'seen-one'",
    "ScheduledById IS NULL AND TemporalScheduledStartTime IS NULL AND TemporalSchedulePaused IS NULL",
    "TemporalChangeVersion = 'x' OR TemporalPauseInfo = 'x' OR TemporalReportedProblems IN ('x')",
    "BatcherUser = 'x'",
    "TemporalNamespaceDivision IS NOT NULL",
    "WorkflowId = 'seen-one' -- and no more",
    "WorkflowId = /* the first */ 'seen-one';",
]

REFUSED = [
    "Customer = 5",
    "Customer = true",
    "Customer = acme",
    "Customer LIKE 'a%'",
    "Customer IS TRUE",
    "'acme' = Customer",
    "customer = 'acme'",
    "Note IN ('words')",
    "Note STARTS_WITH 'w'",
    "Note = ' '",
    "Attempts = '2'",
    "Attempts = true",
    "Attempts STARTS_WITH '2'",
    "Weight = 'x'",
    "Paid = 1",
    "Paid = 'true'",
    "Paid BETWEEN false AND true",
    "Due > 'yesterday'",
    "Due > 1.5",
    "Due > now()",
    "Tags > 'a'",
    "Tags STARTS_WITH 'a'",
    "Tags BETWEEN 'a' AND 'b'",
    "Unknown = 'x'",
    "TemporalUnknown = 'x'",
    "ExecutionStatus = 'running'",
    "ExecutionStatus = 99",
    "ExecutionStatus = 1.5",
    "ExecutionDuration > 'long'",
    "ExecutionDuration > 1.5",
    "WorkflowId IN ()",
    "WorkflowId IN 'x'",
    "WorkflowId = NULL",
    "WorkflowId",
    "WorkflowId = 'x' AND",
    "(WorkflowId = 'x'",
    "WorkflowId = 'x' LIMIT 1",
    "NamespaceId = 'x'",
    "GROUP BY WorkflowType",
    "GROUP BY Customer",
    "GROUP BY ExecutionStatus, WorkflowType",
]


async def refused(call) -> str:
    try:
        await call
    except RPCError as error:
        return f"{error.status.name}: {error.message}"
    return "not refused"


def mine(filter: str) -> str:
    """The filter, for the executions of this script alone."""
    end = min((at for at in (filter.find(" --"), filter.find(";")) if at >= 0), default=len(filter))
    return f"({filter[:end]}) AND WorkflowId STARTS_WITH '{PREFIX}'{filter[end:]}"


async def listed(client: Client, filter: str, page_size: int = 100) -> list[str]:
    found = client.list_workflows(mine(filter), page_size=page_size)
    return sorted([f"{run.id} {run.status.name}" async for run in found])


async def until(condition) -> None:
    """A server's registry of attributes, and its listings, lag a little."""
    for _ in range(200):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(condition.__doc__)


async def add_attributes(client: Client) -> dict:
    operator, namespace = client.operator_service, client.namespace
    await operator.add_search_attributes(AddSearchAttributesRequest(namespace=namespace, search_attributes=TYPES))

    async def known() -> bool:
        """the attributes can be used"""
        start = client.start_workflow(
            Waits.run, id=f"{PREFIX}one", task_queue=QUEUE, search_attributes=STARTED["one"]
        )
        return await refused(start) == "not refused"

    await until(known)
    answer = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=namespace))
    fields = await client.workflow_service.get_search_attributes(GetSearchAttributesRequest())
    return {
        "custom": dict(answer.custom_attributes),
        "system": dict(answer.system_attributes),
        "fields": dict(fields.keys),
    }


async def start_all(client: Client) -> list:
    for name, given in STARTED.items():
        if name != "one":
            await client.start_workflow(Waits.run, id=PREFIX + name, task_queue=QUEUE, search_attributes=given)
    # As older SDKs have it: every value in a list.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = {"Customer": ["old"], "Attempts": [7], "Tags": ["red", "old"]}
        await client.start_workflow(Waits.run, id=f"{PREFIX}old", task_queue=QUEUE, search_attributes=old)
    given = attributes((CUSTOMER, "first"), (PAID, True))
    marks = await client.start_workflow(
        Marks.run, True, id=f"{PREFIX}marks", task_queue=QUEUE, search_attributes=given
    )
    left = await marks.result()
    for name in ("four", "five"):
        await client.get_workflow_handle(PREFIX + name).terminate("enough")

    async def settled() -> bool:
        """all that has ended is listed so"""
        wanted = mine("ExecutionStatus IN ('Terminated', 'Completed', 'ContinuedAsNew')")
        return (await client.count_workflows(wanted)).count == 5 and len(await listed(client, "StartTime > 0")) == 9

    await until(settled)
    return left


async def described(client: Client) -> dict:
    runs = [run async for run in client.list_workflows(mine("StartTime > 0"))]

    def shown(run) -> dict:
        return {pair.key.name: str(pair.value) for pair in run.typed_search_attributes if pair.key.name in TYPES}

    return {
        "listed": {f"{run.id} {run.status.name}": shown(run) for run in runs},
        "described": {
            name: shown(await client.get_workflow_handle(PREFIX + name).describe()) for name in [*STARTED, "old", "marks", "child"]
        },
    }


async def refused_starts(client: Client) -> dict:
    def start(*pairs):
        return client.start_workflow(
            Waits.run, id=f"{PREFIX}refused", task_queue=QUEUE, search_attributes=attributes(*pairs)
        )

    keyword, integer = SearchAttributeKey.for_keyword, SearchAttributeKey.for_int
    return {
        "unknown": await refused(start((UNKNOWN, "x"))),
        "system": await refused(start((keyword("WorkflowId"), "x"))),
        "internal": await refused(start((keyword("TemporalWorkerDeployment"), "x"))),
        "type": await refused(start((integer("Customer"), 5))),
        "number": await refused(start((keyword("Attempts"), "5"))),
        "long": await refused(start((CUSTOMER, "x" * 3000))),
        "list": await refused(start((keyword("Tags"), "x"))),
    }


async def counted(client: Client, filter: str) -> list:
    answer = await client.count_workflows(filter)
    return [answer.count, sorted([group.count, [str(value) for value in group.group_values]] for group in answer.groups)]


async def everything(client: Client) -> dict:
    found: dict = {"attributes": await add_attributes(client)}
    found["left"] = await start_all(client)
    found["shown"] = await described(client)
    found["refused starts"] = await refused_starts(client)
    for filter in FILTERS:
        ids = await listed(client, filter)
        found[filter] = [ids, (await client.count_workflows(mine(filter))).count]
    for filter in REFUSED:
        # Who parses differently says it in other words.
        answers = [await refused(client.count_workflows(filter)), await refused(first(client, filter))]
        found[filter] = [":".join(answer.split(":")[:2]) for answer in answers]
    found["grouped"] = [
        await counted(client, f"WorkflowId STARTS_WITH '{PREFIX}' GROUP BY ExecutionStatus"),
        await counted(client, f"WorkflowId STARTS_WITH '{PREFIX}' GROUP BY TemporalNamespaceDivision"),
    ]
    found["pages"] = [await listed(client, "StartTime > 0", page_size) for page_size in (1, 3, 9)]
    found["order"] = [run.id async for run in client.list_workflows(mine("ExecutionStatus = 'Running'"), page_size=2)]
    await remove_attribute(client, found)
    return found


async def first(client: Client, filter: str) -> None:
    async for _ in client.list_workflows(filter):
        return


async def remove_attribute(client: Client, found: dict) -> None:
    operator, namespace = client.operator_service, client.namespace
    remove = RemoveSearchAttributesRequest(namespace=namespace, search_attributes=["Customer"])
    await operator.remove_search_attributes(remove)

    async def gone() -> bool:
        """the attribute that was removed is not known any more"""
        return await refused(client.count_workflows("Customer = 'acme'")) != "not refused"

    await until(gone)
    found["after the removal"] = await described(client)


async def main() -> None:
    client = await Client.connect(sys.argv[1], namespace=sys.argv[2])
    async with Worker(client, task_queue=QUEUE, workflows=[Waits, Marks, Child]):
        found = await asyncio.wait_for(everything(client), 200)
        with open(sys.argv[3], "w", encoding="utf-8") as file:
            json.dump(found, file)
        # All is written. The worker's and the interpreter's end are left out: the SDK's threads now and then abort them.
        os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
