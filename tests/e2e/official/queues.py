"""Task queues as a client, an operator and a worker by hand meet them: which task goes first, how fast, and what is told of
it. What is found is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run; a server describes a queue as it was some seconds ago.
"""

import asyncio
import json
import os
import sys
import time
import uuid
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.wrappers_pb2 import DoubleValue
from temporalio.api.command.v1 import (
    Command,
    ScheduleActivityTaskCommandAttributes,
    StartChildWorkflowExecutionCommandAttributes,
)
from temporalio.api.common.v1 import ActivityType, Priority, WorkflowType
from temporalio.api.taskqueue.v1 import RateLimit, TaskQueue, TaskQueueMetadata
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
    RespondWorkflowTaskCompletedRequest,
    StartActivityExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateTaskQueueConfigRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

LIMIT = UpdateTaskQueueConfigRequest.RateLimitUpdate
WORKFLOW, ACTIVITY = 1, 2
POLL = timedelta(seconds=20)


class Hand:
    def __init__(self, client, namespace):
        self.service, self.namespace = client.workflow_service, namespace

    async def start(self, id, queue, priority=None):
        await self.service.start_workflow_execution(StartWorkflowExecutionRequest(
            namespace=self.namespace, workflow_id=id, workflow_type=WorkflowType(name="T"), task_queue=TaskQueue(name=queue),
            request_id=str(uuid.uuid4()), priority=priority,
        ))

    async def start_activity(self, id, queue, priority=None):
        await self.service.start_activity_execution(StartActivityExecutionRequest(
            namespace=self.namespace, activity_id=id, activity_type=ActivityType(name="A"), task_queue=TaskQueue(name=queue),
            request_id=str(uuid.uuid4()), start_to_close_timeout=Duration(seconds=60), priority=priority,
        ))

    async def workflow_task(self, queue):
        request = PollWorkflowTaskQueueRequest(namespace=self.namespace, task_queue=TaskQueue(name=queue), identity="w")
        return await self.service.poll_workflow_task_queue(request, timeout=POLL)

    async def activity_task(self, queue, limit=None):
        metadata = None if limit is None else TaskQueueMetadata(max_tasks_per_second=DoubleValue(value=limit))
        request = PollActivityTaskQueueRequest(
            namespace=self.namespace, task_queue=TaskQueue(name=queue), identity="w", task_queue_metadata=metadata
        )
        return await self.service.poll_activity_task_queue(request, timeout=POLL)

    async def describe(self, queue, kind):
        request = DescribeTaskQueueRequest(
            namespace=self.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind, report_stats=True, report_config=True
        )
        return await self.service.describe_task_queue(request)

    async def configure(self, queue="configured", kind=ACTIVITY, **more):
        request = UpdateTaskQueueConfigRequest(
            namespace=self.namespace, identity="op", task_queue=queue, task_queue_type=kind, **more
        )
        try:
            told = MessageToDict((await self.service.update_task_queue_config(request)).config)
        except RPCError as error:
            return [error.status.name, error.message]
        return without_times(told)


def without_times(told):
    if isinstance(told, dict):
        return {key: without_times(value) for key, value in told.items() if key != "updateTime"}
    return told


def priority(key=0, fairness="", weight=0):
    return Priority(priority_key=key, fairness_key=fairness, fairness_weight=weight)


async def order(hand):
    """The lower priority key goes first, and who says nothing is in the middle."""
    keys = {"none": None, "fifth": 5, "first": 1, "fourth": 4, "second": 2}
    for id, key in keys.items():
        await hand.start(id, "ordered", key and priority(key))
        await hand.start_activity(id, "ordered", key and priority(key))
    # What waits is told of some time after it was put there.
    await asyncio.sleep(4)
    found = {}
    for kind in (WORKFLOW, ACTIVITY):
        told = await hand.describe("ordered", kind)
        by_key = {str(key): stats.approximate_backlog_count for key, stats in told.stats_by_priority_key.items()}
        found[f"backlog {kind}"] = [told.stats.approximate_backlog_count, dict(sorted(by_key.items()))]
    found["workflows"] = [(await hand.workflow_task("ordered")).workflow_execution.workflow_id for _ in keys]
    found["activities"] = [(await hand.activity_task("ordered")).activity_id for _ in keys]
    return found


async def fair(hand):
    """Fairness keys take turns, by their weights."""
    found = {}
    cases = {"equal": [("many", 1)] * 6 + [("few", 1)] * 2, "weighted": [("light", 1)] * 4 + [("heavy", 3)] * 6}
    for name, keys in cases.items():
        for number, (key, weight) in enumerate(keys):
            await hand.start_activity(f"{name} {number}", name, priority(0, key, weight))
        await asyncio.sleep(2)
        got = [(await hand.activity_task(name)).priority.fairness_key for _ in keys]
        # Those of a key stay in order, and a server begins with whichever it likes.
        found[name] = [sorted(got[: len(got) // 2]), sorted(got)]
    return found


async def inherited(hand):
    """What an activity or a child does not say, its workflow does."""
    await hand.start("parent", "inherited", priority(2, "tenant", 3))
    task = await hand.workflow_task("inherited")
    own = {"x": None, "y": priority(4), "z": priority(1, "own")}
    commands = [
        Command(command_type=1, schedule_activity_task_command_attributes=ScheduleActivityTaskCommandAttributes(
            activity_id=id, activity_type=ActivityType(name="A"), task_queue=TaskQueue(name="inherited"),
            start_to_close_timeout=Duration(seconds=30), priority=priority,
        ))
        for id, priority in own.items()
    ]
    commands.append(Command(
        command_type=11,
        start_child_workflow_execution_command_attributes=StartChildWorkflowExecutionCommandAttributes(
            workflow_id="child", workflow_type=WorkflowType(name="T"), task_queue=TaskQueue(name="children")
        ),
    ))
    await hand.service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(namespace=hand.namespace, task_token=task.task_token, commands=commands)
    )
    await asyncio.sleep(1)
    tasks = [await hand.activity_task("inherited") for _ in own]
    found = {"activities": [[task.activity_id, MessageToDict(task.priority)] for task in tasks]}
    child = await hand.workflow_task("children")
    found["child"] = MessageToDict(child.history.events[0].workflow_execution_started_event_attributes.priority)
    return found


async def settings(hand):
    limit = lambda rate, reason="why": LIMIT(rate_limit=RateLimit(requests_per_second=rate), reason=reason)  # noqa: E731
    many = {str(number): 1.0 for number in range(1001)}
    steps = {
        "nothing": {},
        "queue": {"update_queue_rate_limit": limit(5)},
        "keys": {"update_fairness_key_rate_limit_default": limit(2, "each")},
        "weights": {"set_fairness_weight_overrides": {"a": 2.0, "b": 3.0}},
        "other weights": {"set_fairness_weight_overrides": {"c": 0.5}, "unset_fairness_weight_overrides": ["b", "nobody"]},
        "bad weight": {"set_fairness_weight_overrides": {"c": -1.0}},
        "both": {"set_fairness_weight_overrides": {"c": 1.0}, "unset_fairness_weight_overrides": ["c"]},
        "too many": {"set_fairness_weight_overrides": many},
        "of workflows": {"kind": WORKFLOW, "update_queue_rate_limit": limit(5)},
        "keys of workflows": {"kind": WORKFLOW, "update_fairness_key_rate_limit_default": limit(5)},
        "weights of workflows": {"kind": WORKFLOW, "set_fairness_weight_overrides": {"a": 2.0}},
        "negative": {"update_queue_rate_limit": limit(-1)},
        "long reason": {"update_queue_rate_limit": limit(1, "x" * 1001)},
        "a part": {"queue": "/_sys/x/1", "update_queue_rate_limit": limit(1)},
        "no limit": {"update_queue_rate_limit": LIMIT(reason="off")},
    }
    found = {name: await hand.configure(**step) for name, step in steps.items()}
    told = await hand.describe("configured", ACTIVITY)
    found["described"] = without_times(MessageToDict(told.config))
    return found


async def limits(hand):
    """Whether ten tasks take about as long as they must: by an operator's limit, and by that of the worker."""
    found = {}
    for name, limit in (("operator", None), ("worker", 4)):
        if limit is None:
            await hand.configure(name, update_queue_rate_limit=LIMIT(rate_limit=RateLimit(requests_per_second=4)))
        for number in range(12):
            await hand.start_activity(f"{name} {number}", name)
        began = time.monotonic()
        for _ in range(12):
            await hand.activity_task(name, limit)
        found[name] = 1.5 < time.monotonic() - began < 12
        effective = (await hand.describe(name, ACTIVITY)).effective_rate_limit
        found[f"{name} told"] = MessageToDict(effective)
    return found


async def main(address, namespace, file):
    hand = Hand(await Client.connect(address, namespace=namespace), namespace)
    parts = (order, fair, inherited, settings, limits)
    found = dict(zip([part.__name__ for part in parts], await asyncio.gather(*(part(hand) for part in parts))))
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
