"""What we build on that its library does not promise to keep: each is there, and the library is capped to tried versions.

A new version of one of these may rename what stands here without a word: raise its cap after this test and `make prove`.
"""

import importlib
import re
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from tests.support.paths import ROOT

RELIED_ON = {
    # signalops/web/protocol.py overrides its callbacks and reads its state.
    "uvicorn": [
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol._unset_keepalive_if_required",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_headers_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.on_response_complete",
        "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol.resume_writing",
        "uvicorn.protocols.http.httptools_impl:RequestResponseCycle.run_asgi",
        "uvicorn.protocols.http.httptools_impl:STATUS_LINE",
        "uvicorn._types:ASGIReceiveCallable",
        "uvicorn.server:ServerState",
    ],
    # signalops/queue/: slots for maintenance, jobs that a shutdown gives back, and the query by its name.
    "procrastinate": [
        "procrastinate:App._worker",
        "procrastinate.worker:Worker._periodic_deferrer",
        "procrastinate.manager:JobManager.get_stalled_jobs",
        "procrastinate.sql:queries",
    ],
    # signalops/db/pools.py replaces its queue of connections.
    "psycopg-pool": ["psycopg_pool:AsyncConnectionPool._get_ready_connection"],
    # signalops/send/response_size.py counts what a connection receives.
    "aiohttp": ["aiohttp.client_proto:ResponseHandler.feed_data", "aiohttp.client_proto:ResponseHandler.set_exception"],
    # signalops/send/engine.py, output.py and filters.py: its nodes, and the bound of its output.
    "python-liquid": [
        "liquid.builtin.expressions:FilteredExpression",
        "liquid.builtin.expressions:Path",
        "liquid.builtin.output:OutputNode",
        "liquid.builtin.tags.cycle_tag:CycleNode",
        "liquid.builtin.tags.echo_tag:EchoNode",
        "liquid.filter:int_arg",
        "liquid.output:LimitedStringIO",
        "liquid.static_analysis:TemplateAnalysis",
    ],
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIRED = {r.name: r for r in map(Requirement, PYPROJECT["project"]["dependencies"])}


@pytest.mark.parametrize("path", [path for paths in RELIED_ON.values() for path in paths])
def test_what_we_rely_on_is_there(path: str) -> None:
    module, _, attributes = path.partition(":")
    found: object = importlib.import_module(module)
    for name in attributes.split("."):
        assert hasattr(found, name), f"{path} is gone"
        found = getattr(found, name)


@pytest.mark.parametrize("library", RELIED_ON)
def test_its_library_is_capped_and_the_installed_version_was_tried(library: str) -> None:
    specifier = REQUIRED[library].specifier
    assert any(part.operator in ("<", "<=", "==", "~=") for part in specifier), f"{library} has no cap in pyproject.toml"
    assert specifier.contains(version(library))


def test_no_private_module_is_imported_that_does_not_stand_here() -> None:
    private = re.compile(
        r"^\s*(?:from|import) ((?:uvicorn|procrastinate|aiohttp|liquid|starlette|pydantic)\.(?:\w+\.)*_\w+)", re.M
    )
    stated = {path.partition(":")[0] for paths in RELIED_ON.values() for path in paths}
    files = (ROOT / "signalops").rglob("*.py")
    assert {module for file in files for module in private.findall(file.read_text(encoding="utf-8"))} <= stated
