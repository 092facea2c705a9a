"""What users' own workflow tests do: Temporal's Python test environment, with the engine in the place of the test server.

Arguments: program that stands in for Temporal's test server, file to write. What it finds is written down as JSON.
"""

import asyncio
import json
import os
import sys
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.testservice.v1 import LockTimeSkippingRequest, SleepUntilRequest, UnlockTimeSkippingRequest
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

QUEUE = "tests"
DAY = timedelta(days=1)


@activity.defn
async def takes(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return activity.info().attempt


@activity.defn
async def fails_twice() -> int:
    attempt = activity.info().attempt
    if attempt < 3:
        raise RuntimeError("not yet")
    return attempt


@workflow.defn
class Sleeps:
    @workflow.run
    async def run(self, days: int) -> float:
        began = workflow.now()
        await asyncio.sleep(days * DAY.total_seconds())
        return round((workflow.now() - began) / DAY, 2)


@workflow.defn
class Works:
    """Its activities' own seconds are real, and the hours between their attempts are not."""

    @workflow.run
    async def run(self) -> list:
        began = workflow.now()
        policy = RetryPolicy(initial_interval=timedelta(hours=10), backoff_coefficient=1)
        attempts = [
            await workflow.execute_activity(takes, 1.0, start_to_close_timeout=timedelta(seconds=30)),
            await workflow.execute_activity(fails_twice, start_to_close_timeout=DAY, retry_policy=policy),
        ]
        return [*attempts, round((workflow.now() - began) / timedelta(hours=10))]


@workflow.defn
class Waits:
    def __init__(self) -> None:
        self.told = ""

    @workflow.run
    async def run(self) -> str:
        try:
            await workflow.wait_condition(lambda: self.told != "", timeout=90 * DAY)
        except asyncio.TimeoutError:
            return "nobody told"
        return self.told

    @workflow.signal
    def tell(self, word: str) -> None:
        self.told = word


@workflow.defn
class Parent:
    @workflow.run
    async def run(self) -> float:
        return await workflow.execute_child_workflow(Sleeps.run, 10, id=workflow.info().workflow_id + "-child")


async def refusal(call):
    try:
        await call
        return "no refusal"
    except RPCError as error:
        return error.status.name


async def skips(env):
    client, found = env.client, {}
    options = {"task_queue": QUEUE}
    began = time.monotonic()
    found["a month"] = await client.execute_workflow(Sleeps.run, 30, id="month", **options)
    found["a child's days"] = await client.execute_workflow(Parent.run, id="parent", **options)
    found["attempts"] = await client.execute_workflow(Works.run, id="works", **options)
    found["timed out"] = await client.execute_workflow(Waits.run, id="forgotten", **options)
    try:
        limit = {"execution_timeout": 5 * DAY, **options}
        await client.execute_workflow(Sleeps.run, 6, id="cut", **limit)
    except WorkflowFailureError as error:
        found["cut"] = str(error.cause)
    delayed = await client.start_workflow(Sleeps.run, 1, id="delayed", start_delay=7 * DAY, **options)
    found["delayed"] = await delayed.result()
    found["days of history are kept"] = (await client.get_workflow_handle("month").describe()).status.name

    handle = await client.start_workflow(Waits.run, id="told", **options)
    before = await env.get_current_time()
    await env.sleep(80 * DAY)
    found["slept"] = round((await env.get_current_time() - before) / DAY, 2)
    await handle.signal(Waits.tell, "in time")
    found["told"] = await handle.result()

    with env.auto_time_skipping_disabled():
        handle = await client.start_workflow(Sleeps.run, 1, id="held", **options)
        try:
            await asyncio.wait_for(handle.result(), 2)
            found["held"] = "time was skipped"
        except asyncio.TimeoutError:
            found["held"] = "time was not skipped"
    found["let go"] = await handle.result()

    service = client.test_service
    found["one unlock too many"] = [
        await refusal(service.unlock_time_skipping(UnlockTimeSkippingRequest())),
        await refusal(service.unlock_time_skipping(UnlockTimeSkippingRequest())),
        await refusal(service.lock_time_skipping(LockTimeSkippingRequest())),
    ]
    past = SleepUntilRequest()
    past.timestamp.FromDatetime(before)
    found["sleep until the past"] = await refusal(service.sleep_until(past))
    found["quick"] = time.monotonic() - began < 40
    return found


async def main(program, file):
    async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=program) as env:
        kinds = {"workflows": [Sleeps, Works, Waits, Parent], "activities": [takes, fails_twice]}
        async with Worker(env.client, task_queue=QUEUE, **kinds):
            found = {"locked": await skips(env)}
    extra = {"test_server_existing_path": program, "test_server_extra_args": ["--enable-time-skipping"]}
    async with await WorkflowEnvironment.start_time_skipping(**extra) as env:
        found["unlocked"] = await refusal(env.client.test_service.unlock_time_skipping(UnlockTimeSkippingRequest()))
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
