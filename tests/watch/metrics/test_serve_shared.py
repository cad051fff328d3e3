"""What real processes count, asked for as Prometheus does: several API processes tell of all of them, workers of themselves."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import psutil
import psycopg
import pytest

from signalops.config import Settings
from signalops.watch.metrics.registry import begin, exposition
from signalops.watch.metrics.serve import served
from tests.support.api import SIGNUP, Client, capture_log
from tests.support.processes import Process
from tests.support.rules import make_rule
from tests.support.tenants import Tenant
from tests.watch.metrics.reading import Scrape, scrape

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ask(port: int) -> Scrape:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return Scrape(answer.read().decode())


def shared_folders(folder: Path) -> list[Path]:
    return list(folder.glob("signalops-metrics-*"))


def files_of(folder: Path, process: int, kind: str) -> list[Path]:
    return list(folder.glob(f"signalops-metrics-*/{kind}*_{process}.db"))


async def begun(client: Client, processes: int) -> Scrape:
    """Return a scrape as soon as so many processes live, each of which has one connection for single events."""
    async with asyncio.timeout(20):
        while True:
            try:
                scraped = await scrape(client)
            except aiohttp.ClientError:
                continue
            connections = [scraped("pool_connections", pool="single", state=state) for state in ("used", "idle")]
            if sum(connections) == processes:
                return scraped
            await asyncio.sleep(0.05)


@pytest.mark.prove
async def test_what_goes_in_is_counted_once_by_whichever_process(
    settings: Settings, owner: psycopg.Connection, acme: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_port, worker_port = free_port(), free_port()
    monkeypatch.setenv("SIGNALOPS_PORT", str(api_port))
    monkeypatch.setenv("SIGNALOPS_WORKER_METRICS_PORT", str(worker_port))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    make_rule(owner, acme, {"type": ["order.paid"]})
    url = f"http://127.0.0.1:{api_port}"
    each_alone = aiohttp.TCPConnector(force_close=True)  # any of the processes may take it
    async with (
        Process(settings, "signalops", "serve", "--processes", "2") as serving,
        Process(settings, "signalops", "work"),
        aiohttp.ClientSession(connector=each_alone) as session,
    ):
        client = Client(session, url)
        await begun(client, 2)
        for _ in range(20):
            assert (await client.get("/healthz")).status == 200
            assert (await client.post(SIGNUP, acme)).status == 202
        for status in (202, 200):
            assert (await client.post(SIGNUP, acme, idempotency_key="k")).status == status
        assert (await client.post({"type": "no type"}, acme)).status == 422
        assert (await client.post_batch([SIGNUP, {"type": "no type"}, SIGNUP], acme)).status == 202
        scraped = await scrape(client)
        assert scraped("requests_total", operation="live", status="200") == 20
        assert scraped("requests_total", operation="storeEvent", status="202") == 21
        assert scraped("request_seconds_count", operation="storeEvent") == 23
        outcomes = ("accepted", "duplicate", "refused", "over_limit")
        assert [scraped("events_total", outcome=outcome) for outcome in outcomes] == [23, 1, 2, 0]
        assert scraped("rejections_total", reason="invalid") == 2
        assert scraped("flush_events_sum") == 24
        assert scraped("flush_seconds_count") == scraped("flush_events_count") > 0
        assert (await client.post({"type": "order.paid"}, acme)).status == 202
        await worked(worker_port, 25)  # with the event that tells of the delivery's death
        await outlived(client, tmp_path)
        serving.send(signal.SIGTERM)
        await serving.ended()
    assert shared_folders(tmp_path) == []


async def worked(port: int, events: int) -> None:
    """Wait until a worker has processed so many events and tried their deliveries; check all metrics of it."""
    async with asyncio.timeout(20):
        while True:
            scraped = await asyncio.to_thread(ask, port)
            is_counted = scraped("processed_events_total") == events and scraped("lag_seconds_count") == scraped("batches_total")
            if is_counted and scraped("deliveries_dead_lettered_total"):
                break
            await asyncio.sleep(0.05)  # it answers in the process that is to do the work
    # A scrape reads one metric after the other while they move: only the next one has all that led to the last of them.
    scraped = await asyncio.to_thread(ask, port)
    assert scraped("matches_total") == 1
    assert scraped("batches_total") == scraped("batch_seconds_count") == scraped("lag_seconds_count") > 0
    assert 0 < scraped("lag_seconds_sum") < 20 * scraped("lag_seconds_count")
    # The channel has no secret to sign with.
    assert (
        scraped("attempts_total", kind="webhook", outcome="misconfigured")
        == scraped("attempt_seconds_count", kind="webhook")
        == 1
    )
    assert scraped("pool_connections", pool="worker", state="used") + scraped("pool_connections", pool="worker", state="idle") > 0
    assert (scraped("events_dead_lettered_total"), scraped("deliveries_dead_lettered_total"), scraped("jobs_rescued_total")) == (
        0,
        1,
        0,
    )
    assert scraped.has("jobs_requeued_total")


async def outlived(client: Client, folder: Path) -> None:
    """Kill one of the API processes: what it counted stays, its gauges go."""
    before = await scrape(client)
    (supervisor,) = [p for p in psutil.Process().children() if "serve" in p.cmdline()]
    killed = next(p for p in supervisor.children() if "spawn_main" in " ".join(p.cmdline()))
    os.kill(killed.pid, signal.SIGKILL)
    await asyncio.to_thread(killed.wait, 10)
    after = await begun(client, 2)
    assert files_of(folder, killed.pid, "gauge") == []
    assert files_of(folder, killed.pid, "counter") != []
    assert after("events_total", outcome="accepted") == before("events_total", outcome="accepted") == 24


async def test_a_worker_tells_at_any_free_port_and_works_on_where_it_is_taken() -> None:
    begin("worker")
    with capture_log("metrics.served") as emitted, served("127.0.0.1", 0):
        port = emitted.get_nowait()["port"]
        scraped = await asyncio.to_thread(ask, port)
        assert {family.name for family in scraped.families} >= {"signalops_batches", "process_cpu_seconds"}
        with capture_log("metrics.listen_failed") as unheard, served("127.0.0.1", port):
            assert unheard.get_nowait()["port"] == port
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(ask, port)
    with capture_log("metrics.served") as emitted, served("127.0.0.1", None):
        assert emitted.empty()


def test_a_process_that_has_only_just_opened_its_file_fails_no_scrape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = "from signalops.watch.metrics.registry import counter; counter('signalops_batches_total').inc(3)"
    subprocess.run([sys.executable, "-c", counts], env=os.environ | {MULTIPROC: str(tmp_path)}, check=True, timeout=20)
    (tmp_path / "counter_1.db").touch()
    monkeypatch.setenv(MULTIPROC, str(tmp_path))
    assert Scrape(exposition([]).decode())("batches_total") == 3
