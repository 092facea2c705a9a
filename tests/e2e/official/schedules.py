"""Schedules of Temporal's Python SDK against a server; what came of each is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run: no times but those that a specification says, no ids of runs.
"""

import asyncio
import json
import os
import re
import sys
from datetime import datetime, timedelta, timezone

from google.protobuf.json_format import MessageToDict
from temporalio import workflow
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleBackfill,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.worker import Worker

QUEUE = "scheduled"
# By what the runs of a schedule are found.
AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
BY = SearchAttributeKey.for_keyword("TemporalScheduledById")
# What differs from run to run.
BLANK = {"runId", "createTime", "updateTime", "futureActionTimes", "actualTime"}
NOW = re.compile(r"20(2[6-9]|[3-9]\d)-\d\d-\d\dT[0-9:.]+Z")


@workflow.defn
class Counts:
    """Knows how often it ran before."""

    @workflow.run
    async def run(self, name: str) -> int:
        before = workflow.get_last_completion_result(int) if workflow.has_last_completion_result() else 0
        return before + 1


@workflow.defn
class Fails:
    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("no", non_retryable=True)


@workflow.defn
class Waits:
    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)


def blanked(value):
    if isinstance(value, dict):
        return {key: blanked(inner) for key, inner in value.items() if key not in BLANK}
    if isinstance(value, list):
        return [blanked(inner) for inner in value]
    return NOW.sub("now", value) if isinstance(value, str) else value


def action(kind, name: str, *args) -> ScheduleActionStartWorkflow:
    return ScheduleActionStartWorkflow(kind.run, args=args, id=name, task_queue=QUEUE)


def never() -> ScheduleSpec:
    """Times that do not come while the test runs."""
    return ScheduleSpec(cron_expressions=["0 0 1 1 * 2099"])


async def until(handle, holds) -> None:
    """Waits for what a server does a little after it has answered."""
    for _ in range(200):
        if holds((await handle.describe()).info):
            return
        await asyncio.sleep(0.05)


async def told(handle) -> dict:
    raw = (await handle.describe()).raw_description
    return {**blanked(MessageToDict(raw)), "times": len(raw.info.future_action_times)}


async def refused(call) -> str:
    try:
        await call
    except (RPCError, ScheduleAlreadyRunningError) as error:
        status = getattr(error, "status", None)
        return f"{type(error).__name__} {status.name if status else ''}: {error}"
    return "not refused"


async def specifications(client: Client) -> dict:
    specs = {
        "calendar": ScheduleSpec(
            calendars=[
                ScheduleCalendarSpec(
                    hour=[ScheduleRange(9, 17, 2)], day_of_week=[ScheduleRange(1, 5)], comment="office hours"
                )
            ],
            skip=[
                ScheduleCalendarSpec(
                    second=[ScheduleRange(0, 59)],
                    minute=[ScheduleRange(0, 59)],
                    hour=[ScheduleRange(0, 23)],
                    day_of_month=[ScheduleRange(24, 26)],
                    month=[ScheduleRange(12)],
                )
            ],
            time_zone_name="Europe/Berlin",
        ),
        "interval": ScheduleSpec(
            intervals=[ScheduleIntervalSpec(every=timedelta(hours=2), offset=timedelta(minutes=5))],
            start_at=datetime(2025, 1, 1, 1, tzinfo=timezone.utc),
            end_at=datetime(2025, 1, 1, 7, tzinfo=timezone.utc),
        ),
        "cron": ScheduleSpec(
            cron_expressions=["CRON_TZ=America/New_York 30 1 * * SUN # nightly", "TZ=America/New_York @daily"]
        ),
        "never": ScheduleSpec(),
    }
    found = {}
    for name, spec in specs.items():
        handle = await client.create_schedule(f"spec-{name}", Schedule(action=action(Waits, name), spec=spec))
        request = ListScheduleMatchingTimesRequest(namespace=client.namespace, schedule_id=handle.id)
        request.start_time.FromJsonString("2024-12-22T00:00:00Z")
        request.end_time.FromJsonString("2025-01-03T00:00:00Z")
        times = await client.workflow_service.list_schedule_matching_times(request)
        found[name] = [await told(handle), [time.ToJsonString() for time in times.start_time]]
        await handle.delete()
    return found


async def life(client: Client) -> dict:
    """One schedule from its creation to its end."""
    found: dict = {}
    state = ScheduleState(note="new", paused=True)
    schedule = Schedule(action=action(Counts, "counts", "you"), spec=never(), state=state)
    handle = await client.create_schedule("life", schedule, memo={"why": "because"}, trigger_immediately=True)
    await until(handle, lambda info: info.num_actions == 1 and not info.running_actions)
    found["created"] = await told(handle)
    found["again"] = await refused(client.create_schedule("life", schedule))
    found["memo"] = await (await handle.describe()).memo()

    await handle.unpause(note="go")
    await handle.pause()
    await until(handle, lambda info: True)
    found["paused"] = blanked(MessageToDict((await handle.describe()).raw_description.schedule.state))

    results = []
    for count in (2, 3):
        await asyncio.sleep(1.1)  # ids have the second
        await handle.trigger()
        await until(handle, lambda info: info.num_actions == count and not info.running_actions)  # noqa: B023
    for result in (await handle.describe()).info.recent_actions:
        run = client.get_workflow_handle(result.action.workflow_id)
        results.append(await run.result())
    found["results"] = results

    def change(update) -> ScheduleUpdate:
        update.description.schedule.state.note = "changed"
        update.description.schedule.policy.overlap = ScheduleOverlapPolicy.ALLOW_ALL
        update.description.schedule.policy.catchup_window = timedelta(seconds=1)
        update.description.schedule.spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))])
        return ScheduleUpdate(schedule=update.description.schedule)

    await handle.update(change)
    await until(handle, lambda info: info.last_updated_at)
    found["updated"] = await told(handle)

    stretch = ScheduleBackfill(
        start_at=datetime(2025, 1, 1, tzinfo=timezone.utc), end_at=datetime(2025, 1, 4, tzinfo=timezone.utc)
    )
    await handle.backfill(stretch)
    await until(handle, lambda info: info.num_actions == 7)
    runs = [result.action.workflow_id for result in (await handle.describe()).info.recent_actions]
    found["backfilled"] = sorted(run for run in runs if "2025" in run)
    await handle.delete()
    late = (handle.describe(), handle.pause(), handle.delete())
    found["gone"] = [(await refused(call)).split(":")[0] for call in late]
    return found


async def times(client: Client) -> dict:
    """A schedule that comes due by itself, and stops after three actions."""
    schedule = Schedule(
        action=action(Counts, "comes-due", "you"),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
        state=ScheduleState(limited_actions=True, remaining_actions=3),
    )
    handle = await client.create_schedule("comes-due", schedule)
    await until(handle, lambda info: info.num_actions == 3)
    await asyncio.sleep(1.5)
    description = await handle.describe()
    apart = [result.scheduled_at.timestamp() for result in description.info.recent_actions]
    first = [result.action.workflow_id for result in description.info.recent_actions][0]
    run = await client.get_workflow_handle(first).describe()
    found = {
        "told": await told(handle),
        "apart": [later - earlier for earlier, later in zip(apart, apart[1:])],
        "started by": run.typed_search_attributes[BY],
        "time in id": first.endswith(run.typed_search_attributes[AT].strftime("%Y-%m-%dT%H:%M:%SZ")),
    }
    await handle.delete()
    return found


async def overlaps(client: Client) -> dict:
    """Three triggers while the first run is open."""
    found = {}
    for policy in ScheduleOverlapPolicy:
        name = f"overlap-{policy.name.lower()}"
        schedule = Schedule(action=action(Waits, name), spec=never(), policy=SchedulePolicy(overlap=policy))
        handle = await client.create_schedule(name, schedule, trigger_immediately=True)
        await until(handle, lambda info: info.num_actions == 1)
        for _ in range(2):
            await asyncio.sleep(1.1)
            await handle.trigger()
        apart = {ScheduleOverlapPolicy.ALLOW_ALL: 3, ScheduleOverlapPolicy.TERMINATE_OTHER: 3}
        await until(handle, lambda info: info.num_actions >= apart.get(policy, 1))  # noqa: B023
        await asyncio.sleep(0.7)  # cancelled runs end by themselves
        info = (await handle.describe()).raw_description.info
        found[name] = {
            "skipped": info.overlap_skipped,
            "waiting": info.buffer_size,
            "running": len(info.running_workflows),
            "actions": info.action_count,
        }
        await handle.delete()
    return found


async def failures(client: Client) -> dict:
    policy = SchedulePolicy(pause_on_failure=True)
    schedule = Schedule(action=action(Fails, "fails"), spec=never(), policy=policy)
    handle = await client.create_schedule("fails", schedule, trigger_immediately=True)
    # The server looks at how a run has ended when it is asked to describe the schedule.
    for _ in range(200):
        if (await handle.describe()).schedule.state.paused:
            break
        await asyncio.sleep(0.05)
    found = await told(handle)
    await handle.delete()
    return found


async def listings(client: Client) -> dict:
    for number in range(3):
        state = ScheduleState(paused=number == 1, note=f"note {number}")
        schedule = Schedule(action=action(Waits, "listed"), spec=never(), state=state)
        await client.create_schedule(f"listed-{number}", schedule, memo={"number": number})
        await asyncio.sleep(0.05)
    found: dict = {}
    for query in ("ScheduleId STARTS_WITH 'listed'", "TemporalSchedulePaused = true", "ScheduleId = 'listed-2'"):
        for _ in range(100):  # the server's listings lag a little
            listed = [entry async for entry in await client.list_schedules(query, page_size=2)]
            if len(listed) == (3 if "STARTS" in query else 1) and all(entry.schedule for entry in listed):
                break
            await asyncio.sleep(0.1)
        found[query] = [[blanked(MessageToDict(entry.raw_entry)), await entry.memo()] for entry in listed]
    for query in ("WorkflowId = 'x'", "TemporalNamespaceDivision = 'x'"):
        found[query] = await refused((await client.list_schedules(query)).__anext__())
    return found


async def main() -> None:
    client = await Client.connect(sys.argv[1], namespace=sys.argv[2])
    async with Worker(client, task_queue=QUEUE, workflows=[Counts, Fails, Waits]):
        parts = (specifications, life, times, overlaps, failures, listings)
        results = [await asyncio.wait_for(part(client), 60) for part in parts]
    found = dict(zip((part.__name__ for part in parts), results))
    with open(sys.argv[3], "w", encoding="utf-8") as file:  # standard output is the SDK's, for its log
        json.dump(found, file)


if __name__ == "__main__":
    asyncio.run(main())
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
