"""Nexus endpoints as an operator keeps them: created, changed, listed by pages, deleted, and every refusal.

Arguments: address, namespace, file to write. What is found is compared between the engine and Temporal's own server, so nothing
is noted that differs from run to run.
"""

import uuid
from datetime import timedelta

from google.protobuf.json_format import MessageToDict
from hand import RUN, run
from temporalio.api.common.v1 import Payload
from temporalio.api.nexus.v1 import EndpointSpec, EndpointTarget
from temporalio.api.operatorservice import v1 as api
from temporalio.service import RPCError

TIMES = ("createdTime", "lastModifiedTime")
NOBODY = "00000000-0000-4000-8000-000000000000"


def worker(namespace="dotidx", queue="q") -> EndpointTarget:
    return EndpointTarget(worker=EndpointTarget.Worker(namespace=namespace, task_queue=queue))


def external(url: str) -> EndpointTarget:
    return EndpointTarget(external=EndpointTarget.External(url=url))


def spec(name: str, target: EndpointTarget | None = None, description: bytes | None = None) -> EndpointSpec:
    described = None if description is None else Payload(metadata={"encoding": b"json/plain"}, data=description)
    return EndpointSpec(name=name, target=target or worker(), description=described)


def told(endpoint) -> dict:
    """An endpoint, but for its times and its id: whether it has them."""
    found = MessageToDict(endpoint)
    found["times"] = [name for name in TIMES if found.pop(name, None)]
    assert str(uuid.UUID(found.pop("id"))) == endpoint.id
    found["urlPrefix"] = found.get("urlPrefix", "").replace(endpoint.id, "id")
    return found


class Operator:
    def __init__(self, server):
        self.service = server.client.operator_service

    async def ask(self, method: str, request):
        """The answer, or what is told of its refusal."""
        try:
            return await getattr(self.service, method)(request, timeout=timedelta(seconds=20))
        except RPCError as error:
            return f"{error.status.name}: {RUN.sub('id', error.message)}"

    async def create(self, given: EndpointSpec | None):
        return await self.ask("create_nexus_endpoint", api.CreateNexusEndpointRequest(spec=given))

    async def update(self, id: str, version: int, given: EndpointSpec | None):
        return await self.ask("update_nexus_endpoint", api.UpdateNexusEndpointRequest(id=id, version=version, spec=given))

    async def delete(self, id: str, version: int):
        return await self.ask("delete_nexus_endpoint", api.DeleteNexusEndpointRequest(id=id, version=version))

    async def get(self, id: str):
        return await self.ask("get_nexus_endpoint", api.GetNexusEndpointRequest(id=id))

    async def list(self, **how):
        return await self.ask("list_nexus_endpoints", api.ListNexusEndpointsRequest(**how))


def of(answer):
    """What is told of an endpoint in an answer, or the refusal."""
    if isinstance(answer, str):
        return answer
    return told(answer.endpoint) if hasattr(answer, "endpoint") else MessageToDict(answer)


async def life(server):
    operator = Operator(server)
    created = await operator.create(spec("life-one", description=b'"what it is for"'))
    id = created.endpoint.id
    found = {
        "created": of(created),
        "again": of(await operator.create(spec("life-one"))),
        "got": of(await operator.get(id)),
        "changed": of(await operator.update(id, 1, spec("life-one", worker(queue="other")))),
        "changed too late": of(await operator.update(id, 1, spec("life-one"))),
        "changed too early": of(await operator.update(id, 9, spec("life-one"))),
        "renamed": of(await operator.update(id, 2, spec("life-two"))),
        "got again": of(await operator.get(id)),
        "of the old name": of(await operator.create(spec("life-three"))),
        "deleted of another version": of(await operator.delete(id, 77)),
        "gone": of(await operator.get(id)),
        "deleted again": of(await operator.delete(id, 3)),
        "changed when gone": of(await operator.update(id, 3, spec("life-two"))),
        "created anew": of(await operator.create(spec("life-two"))),
    }
    return found


async def refusals(server):
    operator = Operator(server)
    long = "x" * 201
    specs = {
        "nothing": None,
        "no name": spec(""),
        "one letter": spec("a"),
        "a digit first": spec("1a"),
        "a hyphen last": spec("a-"),
        "an underscore": spec("a_b"),
        "a long name": spec(long),
        "the longest name": spec("y" * 200),
        "no target": EndpointSpec(name="no-target"),
        "an empty target": EndpointSpec(name="no-target", target=EndpointTarget()),
        "no namespace": spec("of-nobody", worker(namespace="")),
        "another namespace": spec("of-nobody", worker(namespace="nobody")),
        "no queue": spec("of-nobody", worker(queue="")),
        "a long queue": spec("of-nobody", worker(queue="q" * 1001)),
        "a reserved queue": spec("of-nobody", worker(queue="/_sys/q/1")),
        "a long description": spec("described", description=b"x" * 20_001),
        "all at once": spec("-", worker(namespace="", queue="")),
        "no url": spec("outside", external("")),
        "another scheme": spec("outside", external("ftp://example.com")),
        "no host": spec("outside", external("example")),
        "a long url": spec("outside", external("http://example.com/" + "x" * 4096)),
    }
    found = {name: of(await operator.create(given)) for name, given in specs.items()}
    for name, id in {"no id": "", "no uuid": "x", "a short uuid": NOBODY[:-1], "no such": NOBODY}.items():
        found[f"get: {name}"] = of(await operator.get(id))
        found[f"update: {name}"] = of(await operator.update(id, 1, spec("a-name")))
        found[f"delete: {name}"] = of(await operator.delete(id, 1))
    found["update: no version"] = of(await operator.update(NOBODY, 0, spec("a-name")))
    found["update: no spec"] = of(await operator.update(NOBODY, 1, None))
    found["delete: no version"] = of(await operator.delete(NOBODY, 0))
    found["delete: nothing"] = of(await operator.delete("", -1))
    return found


async def listed(server):
    operator = Operator(server)
    ids = sorted([(await operator.create(spec(f"listed-{number}"))).endpoint.id for number in range(5)])
    everything = await operator.list()
    pages, token = [], b""
    while True:
        page = await operator.list(page_size=2, next_page_token=token)
        pages.append([endpoint.id for endpoint in page.endpoints])
        token = page.next_page_token
        if not token:
            break
    flat = [id for page in pages for id in page]
    return {
        "in order": [endpoint.id for endpoint in everything.endpoints] == flat == sorted(flat),
        "all": set(ids) <= set(flat),
        "full pages": all(len(page) == 2 for page in pages[:-1]),
        "by name": [told(endpoint) for endpoint in (await operator.list(name="listed-3")).endpoints],
        "by name, whatever the page": len((await operator.list(name="listed-3", page_size=-1)).endpoints),
        "by no name": len((await operator.list(name="listed")).endpoints),
        "negative": of(await operator.list(page_size=-1)),
        "too many": of(await operator.list(page_size=1001)),
        "as many": len((await operator.list(page_size=1000)).endpoints) == len(flat),
    }


if __name__ == "__main__":
    run([life, refusals, listed])
