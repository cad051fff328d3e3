"""The OpenAPI document and the page that shows it."""

import re
from urllib.parse import urljoin

from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from signalops.config import Settings
from signalops.web.app import Api
from tests.support.api import Client

DOCUMENTATION = {"/api/openapi.json", "/api/docs"}


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
