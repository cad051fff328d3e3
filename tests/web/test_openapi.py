"""The OpenAPI document and the page that shows it."""

import compileall
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urljoin

import orjson
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from signalops.config import Settings
from signalops.send.channels import CHANNELS
from signalops.web import openapi
from signalops.web.app import Api
from signalops.web.pages import LINKS
from tests.support.api import Client

DOCUMENTATION = {"/", "/api/openapi.json", "/api/docs"}


async def test_the_document_is_valid_openapi_3_1(api: Client) -> None:
    described = await api.described()
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(described).validate()


async def test_the_document_covers_every_route_and_nothing_else(api: Client, settings: Settings) -> None:
    routes = [route for route in Api(settings).application().routes if isinstance(route, Route)]
    served = {
        (r.path.replace(":path}", "}"), m.lower())
        for r in routes
        for m in (r.methods or set()) - {"HEAD"}
        if r.path not in DOCUMENTATION
    }
    paths = (await api.described())["paths"]
    assert {(path, method) for path, methods in paths.items() for method in methods} == served


async def test_every_operation_says_what_it_needs_and_answers(api: Client) -> None:
    operations = [o for methods in (await api.described())["paths"].values() for o in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert any(status.startswith("2") for status in operation["responses"])
        if "security" in operation:
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()


async def test_what_needs_no_key_is_health_metrics_and_what_providers_sign(api: Client) -> None:
    paths = (await api.described())["paths"]
    assert {path for path, methods in paths.items() for o in methods.values() if "security" not in o} == {
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/callbacks/ses",
        "/api/callbacks/whatsapp/{id}",
    }


async def test_the_page_and_all_it_loads_come_from_this_server(api: Client) -> None:
    page = await api.get("/api/docs")
    assert (page.status, page.media_type) == (200, "text/html")
    text = page.body.decode()
    assert "//" not in text.replace("</", "")
    loaded = re.findall(r'(?:href|src)="([^"]+)"|url: "([^"]+)"', text)
    addresses = [urljoin("/api/docs", asset or document) for asset, document in loaded]
    assert len(addresses) == 3
    for address in addresses:
        answer = await api.get(address)
        assert answer.status == 200, address
        assert answer.body


async def test_each_operation_is_in_a_group_with_a_description(api: Client) -> None:
    described = await api.described()
    groups = {group["name"]: group["description"] for group in described["tags"]}
    used = {tag for methods in described["paths"].values() for operation in methods.values() for tag in operation["tags"]}
    assert used == groups.keys()
    assert all(about.endswith(".") for about in groups.values())
    operators = described["paths"]["/api/tenants/{tenant}/invoices"]["get"]
    assert operators["tags"] == ["Operators: billing"]


async def test_each_problem_has_an_example_of_its_own(api: Client) -> None:
    refusals = (await api.described())["paths"]["/api/events"]["post"]["responses"]["422"]["content"]["application/problem+json"]
    kinds = [example["value"]["type"] for example in refusals["examples"].values()]
    assert "urn:signalops:problem:schema-violation" in kinds
    assert len(set(kinds)) == len(kinds)


async def test_each_kind_of_channel_has_its_configuration(api: Client) -> None:
    schemas = (await api.described())["components"]["schemas"]
    kinds = schemas["NewChannel"]["discriminator"]["mapping"]
    assert kinds.keys() == CHANNELS.keys()
    for kind, ref in kinds.items():
        channel = schemas[ref.rpartition("/")[2]]
        assert channel["properties"]["kind"]["const"] == kind
        config = schemas[channel["properties"]["config"]["$ref"].rpartition("/")[2]]
        assert config["properties"].keys() == CHANNELS[kind].model_json_schema()["properties"].keys()


async def test_the_start_page_names_what_is_there(api: Client) -> None:
    page = await api.get("/", Accept="text/html")
    assert (page.status, page.media_type) == (200, "text/html")
    links = re.findall(r'href="([^"]+)"', page.body.decode())
    assert set(links) == LINKS.keys()
    for address in links:
        assert (await api.get(address)).status == 200, address
    assert f"curl -X POST {api.url}/api/events" in page.body.decode()
    assert "<script" not in (await api.request("GET", "/", headers={"Host": "127.0.0.1"})).body.decode()


async def test_an_answer_names_the_version(api: Client) -> None:
    assert (await api.get("/healthz")).headers["X-SignalOps-Version"] == version("signalops")
    assert (await api.get("/nowhere")).headers["X-SignalOps-Version"] == version("signalops")


def test_a_generated_client_compiles_and_covers_every_operation(settings: Settings, tmp_path: Path) -> None:
    document = openapi.document(Api(settings).endpoints)
    (tmp_path / "openapi.json").write_bytes(orjson.dumps(document))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--output-path", "client"]
    done = subprocess.run([*command, "--meta", "none"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "will not be generated" not in done.stdout + done.stderr, done.stdout
    modules = {path.stem for path in (tmp_path / "client" / "api").glob("*/*.py")}
    names = {re.sub(r"([A-Z])", r"_\1", o["operationId"]).lower() for m in document["paths"].values() for o in m.values()}
    assert {re.sub("_", "", name) for name in names} <= {re.sub("_", "", module) for module in modules}
    assert compileall.compile_dir(tmp_path / "client", quiet=1)
