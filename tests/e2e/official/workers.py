"""Workers of Temporal's Python SDK that say what they are and of which version; what came of it is written down as JSON.

Arguments: address, namespace, file to write.

The same script runs against the embedded engine and against Temporal's own server, and what it finds has to be equal. So
it notes nothing that differs from run to run, and waits for what a server does a little after it has answered.
"""

import asyncio
import json
import os
import sys
from datetime import timedelta

from google.protobuf.json_format import MessageToDict
from temporalio import workflow
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as Version
from temporalio.api.workflowservice.v1 import (
    CountWorkersRequest,
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentVersionRequest,
    DescribeWorkerRequest,
    ListWorkerDeploymentsRequest,
    ListWorkersRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
    UpdateWorkerDeploymentVersionMetadataRequest,
)
from temporalio.client import Client
from temporalio.common import PinnedVersioningOverride, VersioningBehavior, WorkerDeploymentVersion
from temporalio.runtime import Runtime, TelemetryConfig
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

DEPLOYMENT = "shop"
QUEUE = "versioned"
# What is told of a version, but for times.
TOLD = ["version", "deploymentVersion", "status", "drainageStatus"]
TIMES = ["currentSinceTime", "rampingSinceTime", "firstActivationTime", "lastCurrentTime", "lastDeactivationTime"]


@workflow.defn(versioning_behavior=VersioningBehavior.PINNED)
class Stays:
    def __init__(self) -> None:
        self.done = False
        self.steps = 0

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.done)
        return self.steps

    @workflow.signal
    def step(self) -> None:
        self.steps += 1

    @workflow.signal
    def finish(self) -> None:
        self.done = True


@workflow.defn(versioning_behavior=VersioningBehavior.AUTO_UPGRADE)
class Follows(Stays):
    def __init__(self) -> None:
        super().__init__()

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.done)
        return self.steps


async def until(found, wanted):
    """What is found, once it is as wanted, or as it is after a while."""
    for _ in range(100):
        value = await found()
        if wanted(value):
            return value
        await asyncio.sleep(0.1)
    return value


async def answered(call):
    try:
        await call
        return "done"
    except RPCError as error:
        return f"{error.status.name}: {error.message}"


def shown(message):
    return MessageToDict(message)


async def heartbeats(address, namespace):
    runtime = Runtime(telemetry=TelemetryConfig(), worker_heartbeat_interval=timedelta(seconds=1))
    client = await Client.connect(address, namespace=namespace, runtime=runtime)
    service = client.workflow_service
    query = "TaskQueue = 'heard' AND Status = 'Running'"

    async def listed():
        request = ListWorkersRequest(namespace=namespace, query=query)
        return (await service.list_workers(request)).workers

    async def counted():
        return (await service.count_workers(CountWorkersRequest(namespace=namespace, query=query))).count

    found = {}
    async with Worker(client, task_queue="heard", workflows=[Stays], identity="a worker"):
        workers = await until(listed, lambda workers: len(workers) == 1)
        found["listed"] = [[w.worker_identity, w.task_queue, w.sdk_name, w.sdk_version, w.status] for w in workers]
        request = DescribeWorkerRequest(namespace=namespace, worker_instance_key=workers[0].worker_instance_key)
        heartbeat = (await service.describe_worker(request)).worker_info.worker_heartbeat
        found["described"] = [heartbeat.task_queue, heartbeat.sdk_name, heartbeat.workflow_task_slots_info.slot_supplier_kind]
        found["counted"] = await counted()
    found["after the end"] = await until(counted, lambda count: count == 0)
    return found


class Deployment:
    def __init__(self, client, namespace):
        self.client = client
        self.service = client.workflow_service
        self.namespace = namespace

    def worker(self, build_id):
        version = WorkerDeploymentVersion(DEPLOYMENT, build_id)
        config = WorkerDeploymentConfig(version=version, use_worker_versioning=True)
        # Without a cache every task goes by the queue that all workers poll, and so by the routing.
        return Worker(
            self.client,
            task_queue=QUEUE,
            workflows=[Stays, Follows],
            deployment_config=config,
            max_cached_workflows=0,
            identity=f"worker {build_id}",
        )

    async def known(self, build_id):
        async def described():
            try:
                version = Version(deployment_name=DEPLOYMENT, build_id=build_id)
                request = DescribeWorkerDeploymentVersionRequest(namespace=self.namespace, deployment_version=version)
                return await self.service.describe_worker_deployment_version(request)
            except RPCError:
                return None

        info = await until(described, lambda answer: answer is not None)
        return {"queues": [[queue.name, queue.type] for queue in info.version_task_queues]}

    async def set_current(self, build_id):
        request = SetWorkerDeploymentCurrentVersionRequest(
            namespace=self.namespace, deployment_name=DEPLOYMENT, build_id=build_id, identity="me"
        )
        answer = await answered(self.service.set_worker_deployment_current_version(request))
        await asyncio.sleep(1.5)
        return answer

    async def set_ramping(self, build_id, percentage):
        request = SetWorkerDeploymentRampingVersionRequest(
            namespace=self.namespace, deployment_name=DEPLOYMENT, build_id=build_id, percentage=percentage, identity="me"
        )
        answer = await answered(self.service.set_worker_deployment_ramping_version(request))
        await asyncio.sleep(1.5)
        return answer

    async def described(self):
        request = DescribeWorkerDeploymentRequest(namespace=self.namespace, deployment_name=DEPLOYMENT)
        info = shown((await self.service.describe_worker_deployment(request)).worker_deployment_info)
        routing = {name: value for name, value in info["routingConfig"].items() if not name.endswith("Time")}
        versions = [
            [{name: version.get(name) for name in TOLD}, sorted(name for name in TIMES if name in version)]
            for version in info["versionSummaries"]
        ]
        return {"routing": routing, "versions": versions, "by": info.get("lastModifierIdentity")}

    async def start(self, kind, id, **more):
        handle = await self.client.start_workflow(kind, id=id, task_queue=QUEUE, **more)
        return await self.version_of(handle, 4)

    async def version_of(self, handle, length):
        """Whose it is once its history has that length."""
        described = await until(handle.describe, lambda described: described.history_length >= length)
        info = described.raw_description.workflow_execution_info
        versioning = shown(info.versioning_info)
        # The server counts routings, the engine does not.
        versioning.pop("revisionNumber", None)
        attributes = {
            name: json.loads(payload.data)
            for name, payload in info.search_attributes.indexed_fields.items()
        }
        attributes = {name: sorted(value) if isinstance(value, list) else value for name, value in attributes.items()}
        return {"versioning": versioning, "deployment": info.worker_deployment_name, "attributes": attributes}

    async def completed(self, handle):
        history = await handle.fetch_history()
        events = [event.workflow_task_completed_event_attributes for event in history.events]
        events = [event for event in events if event.started_event_id]
        return [
            [event.worker_version.build_id, event.versioning_behavior, event.worker_deployment_name, shown(event.deployment_version)]
            for event in events
        ]

    async def queue(self):
        request = DescribeTaskQueueRequest(namespace=self.namespace, task_queue={"name": QUEUE}, task_queue_type=1)
        answer = await self.service.describe_task_queue(request)
        pollers = [[poller.identity, shown(poller.deployment_options)] for poller in answer.pollers]
        info = shown(answer.versioning_info)
        info.pop("updateTime", None)
        return {"pollers": sorted(pollers, key=str), "routing": info}


async def versions(client, namespace):
    deployment = Deployment(client, namespace)
    found = {}
    async with deployment.worker("1"):
        found["first poll"] = await deployment.known("1")
        found["before"] = await deployment.described()
        found["current"] = await deployment.set_current("1")
        found["pinned"] = await deployment.start(Stays.run, "stays")
        found["following"] = await deployment.start(Follows.run, "follows")
        found["with one version"] = await deployment.described()
        async with deployment.worker("2"):
            await deployment.known("2")
            found["ramping"] = await deployment.set_ramping("2", 50)
            ids = [f"ramped {number}" for number in range(16)]
            ramped = [await deployment.start(Stays.run, id) for id in ids]
            found["ramped"] = [one["versioning"]["version"] for one in ramped]
            found["while ramping"] = await deployment.described()
            found["queue"] = await deployment.queue()
            override = PinnedVersioningOverride(WorkerDeploymentVersion(DEPLOYMENT, "1"))
            found["promoted"] = await deployment.set_current("2")
            found["overridden"] = await deployment.start(Follows.run, "overridden", versioning_override=override)
            for id in ["stays", "follows"]:
                handle = client.get_workflow_handle(id)
                await handle.signal("step")
                found[f"{id} after"] = await deployment.version_of(handle, 8)
                found[f"{id} completed"] = await deployment.completed(handle)
                await handle.signal("finish")
                found[f"{id} result"] = await handle.result()
            found["with two versions"] = await deployment.described()
            found["metadata"] = await metadata(deployment)
            found["unset"] = await deployment.set_current("")
            found["without versions"] = await deployment.described()
    request = ListWorkerDeploymentsRequest(namespace=namespace)
    listed = await deployment.service.list_worker_deployments(request)
    found["listed"] = [[one.name, one.latest_version_summary.version] for one in listed.worker_deployments]
    return found


async def metadata(deployment):
    version = Version(deployment_name=DEPLOYMENT, build_id="1")
    request = UpdateWorkerDeploymentVersionMetadataRequest(
        namespace=deployment.namespace,
        deployment_version=version,
        upsert_entries={"a": {"data": b"1"}, "b": {"data": b"2"}},
        identity="me",
    )
    first = await deployment.service.update_worker_deployment_version_metadata(request)
    request = UpdateWorkerDeploymentVersionMetadataRequest(
        namespace=deployment.namespace, deployment_version=version, remove_entries=["b"], identity="me"
    )
    second = await deployment.service.update_worker_deployment_version_metadata(request)
    return [shown(first), shown(second)]


async def main(address, namespace, file):
    client = await Client.connect(address, namespace=namespace)
    found = {"heartbeats": await heartbeats(address, namespace), "versions": await versions(client, namespace)}
    with open(file, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
    # All is written. The interpreter's own end is left out: the SDK's threads now and then abort it.
    os._exit(0)
