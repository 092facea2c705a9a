"""Workflows whose histories hold activities, timers, signals and children; and their replay from an export.

histories.py run ADDRESS NAMESPACE    runs them to their end
histories.py replay DIRECTORY         replays what `dixmgr engine export` wrote, and prints how many there were
"""

import asyncio
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, Worker

QUEUE = "histories"


@activity.defn
async def double(number: int) -> int:
    return 2 * number


@workflow.defn
class Child:
    @workflow.run
    async def run(self, number: int) -> int:
        return await workflow.execute_activity(double, number, start_to_close_timeout=timedelta(seconds=10))


@workflow.defn
class Parent:
    def __init__(self) -> None:
        self.told: list[str] = []

    @workflow.signal
    def tell(self, what: str) -> None:
        self.told.append(what)

    @workflow.run
    async def run(self, number: int) -> str:
        await workflow.sleep(timedelta(milliseconds=20))
        children = [workflow.execute_child_workflow(Child.run, number + i, id=f"child-{i}") for i in range(2)]
        doubled = await asyncio.gather(*children)
        await workflow.wait_condition(lambda: len(self.told) == 2)
        return f"{doubled} {self.told}"


async def run(address: str, namespace: str) -> None:
    client = await Client.connect(address, namespace=namespace)
    async with Worker(client, task_queue=QUEUE, workflows=[Parent, Child], activities=[double]):
        handle = await client.start_workflow(Parent.run, 20, id="parent", task_queue=QUEUE)
        for what in ("one", "two"):
            await handle.signal(Parent.tell, what)
        assert await handle.result() == "[40, 42] ['one', 'two']"


async def replay(directory: Path) -> None:
    replayer = Replayer(workflows=[Parent, Child])
    runs = [json.loads(line) for line in (directory / "index.jsonl").read_text().splitlines()]
    for entry in runs:
        history = (directory / entry["history"]).read_text()
        await replayer.replay_workflow(WorkflowHistory.from_json(entry["workflowId"], history))
    print(len(runs))


# The SDK loads this file once more, for its sandbox.
if __name__ == "__main__":
    if sys.argv[1] == "run":
        asyncio.run(run(sys.argv[2], sys.argv[3]))
    else:
        asyncio.run(replay(Path(sys.argv[2])))
    sys.stdout.flush()
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
