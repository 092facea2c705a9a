"""Activities that Temporal's Python SDK starts without a workflow; what came of each is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

from temporalio import activity
from temporalio.client import ActivityFailureError, Client
from temporalio.common import ActivityIDConflictPolicy, ActivityIDReusePolicy, RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

QUEUE = "deeds"


@activity.defn
async def doubles(number: int) -> int:
    return 2 * number


@activity.defn
async def fails_once() -> int:
    info = activity.info()
    if info.attempt == 1:
        activity.heartbeat("half")
        raise ApplicationError("not yet", type="Early")
    return info.attempt


@activity.defn
async def fails() -> None:
    raise ApplicationError("never", type="Final", non_retryable=True)


@activity.defn
async def waits() -> str:
    try:
        while True:
            activity.heartbeat("here")
            await asyncio.sleep(0.2)
    except asyncio.CancelledError:
        activity.heartbeat("gone")
        raise


def causes(error):
    """An error and what it is for, by names and words."""
    said = []
    while error is not None:
        said.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    return said


async def outcome(call):
    try:
        return await call
    except ActivityFailureError as error:
        return causes(error)
    except RPCError as error:
        return f"{error.status.name}: {error.message}"
    except Exception as error:  # what the SDK makes of an answer
        return causes(error)


async def described(handle):
    told = await handle.describe()
    return [told.activity_id, told.activity_type, str(told.status), told.task_queue, told.attempt]


async def lives(client):
    found = {}
    options = {"task_queue": QUEUE, "start_to_close_timeout": timedelta(seconds=10)}
    quick = RetryPolicy(initial_interval=timedelta(milliseconds=200))
    found["result"] = await outcome(client.execute_activity(doubles, 21, id="doubled", **options))
    found["described"] = await described(client.get_activity_handle("doubled"))
    found["retried"] = await outcome(client.execute_activity(fails_once, id="retried", retry_policy=quick, **options))
    found["failed"] = await outcome(client.execute_activity(fails, id="failed", **options))
    delay = timedelta(milliseconds=300)
    found["delayed"] = await outcome(client.execute_activity(doubles, 1, id="delayed", start_delay=delay, **options))
    handle = await client.start_activity(
        waits, id="cancelled", heartbeat_timeout=timedelta(seconds=5), **options
    )
    await asyncio.sleep(1)
    await handle.cancel(reason="enough")
    found["cancelled"] = await outcome(handle.result())
    handle = await client.start_activity(waits, id="ended", heartbeat_timeout=timedelta(seconds=5), **options)
    await asyncio.sleep(0.5)
    await handle.terminate(reason="at once")
    found["terminated"] = await outcome(handle.result())
    nobody = {**options, "task_queue": "nobody's", "schedule_to_start_timeout": timedelta(seconds=1)}
    found["timed out"] = await outcome(client.execute_activity(doubles, 1, id="late", **nobody))
    found["rejected"] = await outcome(
        client.start_activity(doubles, 1, id="doubled", id_reuse_policy=ActivityIDReusePolicy.REJECT_DUPLICATE, **options)
    )
    waiting = {**options, "task_queue": "nobody's"}
    first = await client.start_activity(doubles, 1, id="joined", **waiting)
    found["taken"] = await outcome(client.start_activity(doubles, 1, id="joined", **waiting))
    second = await client.start_activity(
        doubles, 1, id="joined", id_conflict_policy=ActivityIDConflictPolicy.USE_EXISTING, **waiting
    )
    found["joined"] = first.run_id == second.run_id
    return found


async def finds(client):
    # A server's listings have what was written a little later.
    for _ in range(100):
        if (await client.count_activities("ActivityType = 'doubles'")).count == 4:
            break
        await asyncio.sleep(0.1)
    found = {}
    for query in [
        "ActivityType = 'doubles'",
        "ActivityId = 'doubled'",
        "ExecutionStatus = 'Completed'",
        "ExecutionStatus IN ('Canceled', 'Terminated')",
        "TaskQueue = 'deeds' AND ExecutionStatus != 'Completed'",
    ]:
        found[query] = sorted([[one.activity_id, one.activity_type, str(one.status)] async for one in client.list_activities(query)])
    return found


async def main(address, namespace, file):
    client = await Client.connect(address, namespace=namespace)
    async with Worker(client, task_queue=QUEUE, activities=[doubles, fails_once, fails, waits]):
        found = {"lives": await lives(client)}
    found["finds"] = await finds(client)
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
