"""compose.yaml fits what it stands on: settings, secrets that `make secrets` makes, files, ports and pinned images."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from signalops.config import Settings
from tests.prove.pgbouncer import CONFIG
from tests.support.paths import ROOT

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLES = {str(field.validation_alias or f"SIGNALOPS_{name.upper()}") for name, field in Settings.model_fields.items()}


def test_what_processes_are_told_are_settings() -> None:
    names = {name for service in SERVICES.values() for name in service.get("environment", ()) if "SIGNALOPS" in name}
    assert names
    assert names <= VARIABLES
    secrets = {name.upper() for service in _ours() for name in SERVICES[service]["secrets"]}
    assert secrets <= VARIABLES


def test_the_api_believes_tokens_and_who_minted_them_is_the_same() -> None:
    for service in ("api", "migrate"):
        assert "signalops_jwt_secret" in SERVICES[service]["secrets"]
        assert SERVICES[service]["environment"].items() >= COMPOSE["x-tokens"].items()


def test_every_secret_is_declared_and_made(tmp_path: Path) -> None:
    make = ["make", "--silent", "-C", str(tmp_path), "-f", str(ROOT / "Makefile"), "secrets"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, timeout=20)
    made = {path.name: path.read_text() for path in (tmp_path / ".secrets").iterdir()}
    assert {name: secret["file"] for name, secret in COMPOSE["secrets"].items()} == {name: f"./.secrets/{name}" for name in made}
    assert {name for service in SERVICES.values() for name in service.get("secrets", ())} == made.keys()
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, timeout=20)
    assert made == {path.name: path.read_text() for path in (tmp_path / ".secrets").iterdir()}, "existing files are unchanged"


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], mount


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_only_the_api_is_open_to_others(name: str) -> None:
    image = SERVICES[name]["image"]
    assert re.fullmatch(r"signalops(-pgbouncer)?:\$\{SIGNALOPS_VERSION:-local\}|[\w/]+:v?\d[\d.]*", image)
    for port in SERVICES[name].get("ports", ()):
        assert name == "api" or port.startswith("127.0.0.1:")


def test_prometheus_scrapes_every_process_and_shows_the_token_where_it_is_asked_for() -> None:
    config = yaml.safe_load((ROOT / "signalops/watch/prometheus/prometheus.yml").read_text())
    scraped: dict[str, int] = {}
    for job in config["scrape_configs"]:
        services = {name: target["port"] for target in job["dns_sd_configs"] for name in target["names"]}
        assert ("authorization" in job) == ("api" in services), "workers ask for none"
        scraped |= services
    ports = {name: SERVICES[name]["environment"].get("SIGNALOPS_WORKER_METRICS_PORT", 3000) for name in scraped}
    assert scraped == ports
    assert scraped.keys() == _ours() - {"migrate"}
    for name in ("api", "prometheus"):
        assert "signalops_metrics_token" in SERVICES[name]["secrets"]
    assert all("inside" in SERVICES[name]["networks"] for name in (*scraped, "prometheus"))


def _ours() -> set[str]:
    return {name for name, service in SERVICES.items() if service["image"].startswith("signalops:")}


def test_pgbouncer_is_set_up_as_it_was_tried() -> None:
    """By its file, as the tests run it, except pool sizes and addresses."""
    keys = ("pool_mode", "auth_type", "unix_socket_dir")
    ours, tried = (
        {key: value for key, value in re.findall(r"^ *(\w+) =(.*)$", text, re.MULTILINE) if key in keys}
        for text in (COMPOSE["configs"]["pgbouncer"]["content"], CONFIG)
    )
    assert ours == tried
    program = SERVICES["pgbouncer"]["command"][2].splitlines()[1].replace("$$", "$")
    url = "postgresql://signalops_api:4711ab@postgres/signalops"
    printed = subprocess.run(
        ["sh", "-c", program.replace("/run/secrets/*", "-").replace("> /tmp/users", "")],
        input=url,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert printed.stdout == '"signalops_api" "4711ab"'
