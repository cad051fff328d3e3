"""Which urls may be called at all, as far as they tell themselves."""

import pytest
from yarl import URL

from signalops.config import ON_ONE_MACHINE, Settings, settings
from signalops.errors import Invalid
from signalops.send.channels import configured
from signalops.send.ssrf_guard import Blocked, Guard
from signalops.types import ChannelKind


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ON_ONE_MACHINE:
        monkeypatch.delenv(name)
    return Settings()


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com:443/",
        "https://example.com:80/",
        "https://sub.example.co.uk./?a=b",
        "https://bücher.example.net/",
        "https://1.1.1.1/",
        "https://[2001:4860:4860::8888]/",
        "https://localhost.example.com/",
        "https://internal-tools.example.com/",
    ],
)
def test_the_public_internet_may_be_called(production: Settings, url: str) -> None:
    Guard(production).check_url(URL(url))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "plain HTTP is not allowed"),
        ("ftp://example.com/", "begin with https"),
        ("https://example.com:8443/", "Port 8443 is not allowed: use 80 or 443"),
        ("https://example.com:22/", "Port 22"),
        ("https://user@example.com/", "no user"),
        ("https://:password@example.com/", "no password"),
        ("https://127.0.0.1/", "not on the public internet"),
        ("https://[::1]/", "not on the public internet"),
        ("https://[fe80::1%25eth0]/", "not on the public internet"),
        ("https://localhost/", "a local one"),
        ("https://LOCALHOST./", "a local one"),
        ("https://a.localhost/", "a local one"),
        ("https://postgres/", "a local one"),
        ("https://printer.local/", "a local one"),
        ("https://metadata.google.internal/computeMetadata/v1/", "a local one"),
        ("https://nas.home.arpa/", "a local one"),
        ("https://2130706433/", "a local one"),
        ("https://0x7f000001/", "a local one"),
    ],
)
def test_nothing_else_may(production: Settings, url: str, why: str) -> None:
    with pytest.raises(Blocked, match=why):
        Guard(production).check_url(URL(url))


@pytest.mark.parametrize("kind", ["webhook", "http"])
@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.0.1.", "127.0.0.01", "%31%32%37.0.0.1"),
        *("\uff11\uff12\uff17.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]"),
        *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "LOCALHOST", "loc\u00adalhost", "ⓛocalhost", "169.254.169.254"),
    ],
)
def test_a_channel_that_leads_inside_is_refused_when_it_is_saved(production: Settings, kind: ChannelKind, host: str) -> None:
    channel = configured(kind, {"url": f"https://{host}/"})
    with pytest.raises(Invalid, match="public internet"):
        channel.check(None, production)


def test_a_channel_to_the_public_internet_can_be_saved(production: Settings) -> None:
    configured("webhook", {"url": "https://example.com/hook"}).check(None, production)
    with pytest.raises(Invalid, match="plain HTTP"):
        configured("webhook", {"url": "http://example.com/hook"}).check(None, production)


def test_the_operator_can_open_ports_plain_http_and_networks(production: Settings) -> None:
    opened = {"SIGNALOPS_SEND_PORTS": "[8080]", "SIGNALOPS_SEND_PLAIN_HTTP": "true"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in opened.items():
            environment.setenv(name, value)
        environment.setenv("SIGNALOPS_SEND_ALLOWED_NETWORKS", '["10.1.0.0/16"]')
        guard = Guard(Settings())
    guard.check_url(URL("http://10.1.2.3:8080/"))
    guard.check_url(URL("http://[::ffff:10.1.2.3]:8080/"))
    guard.check_url(URL("http://printer.local:8080/"))  # its addresses decide
    for url in ("http://10.2.0.1:8080/", "http://10.1.2.3/", "http://[64:ff9b::10.1.2.3]:8080/"):
        with pytest.raises(Blocked):
            guard.check_url(URL(url))


def test_an_opened_nat64_leads_to_public_addresses_alone(production: Settings) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SIGNALOPS_SEND_ALLOWED_NETWORKS", '["64:ff9b::/96"]')
        guard = Guard(Settings())
    guard.check_address("64:ff9b::8.8.8.8")
    with pytest.raises(Blocked):
        guard.check_address("64:ff9b::10.0.0.1")


@pytest.mark.parametrize("port", [25, 465, 587, 2525, 443])
def test_a_mail_server_may_have_the_ports_of_mail(production: Settings, port: int) -> None:
    Guard(production).check_server("smtp.example.com", port)


@pytest.mark.parametrize(("host", "port"), [("smtp.example.com", 6379), ("127.0.0.1", 25), ("mailhog", 25)])
def test_other_mail_servers_are_refused(production: Settings, host: str, port: int) -> None:
    with pytest.raises(Blocked):
        Guard(production).check_server(host, port)


@pytest.mark.parametrize("variable", ["DATABASE_URL", "SIGNALOPS_API_DATABASE_URL", "SIGNALOPS_WORKER_DATABASE_URL"])
@pytest.mark.usefixtures("production")
def test_this_machine_is_a_receiver_only_with_an_embedded_postgresql(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "postgresql://db.example/signalops")
    with pytest.raises(Blocked):
        Guard(settings.__wrapped__()).check_url(URL("http://127.0.0.1:8025/"))
    monkeypatch.delenv(variable)
    Guard(settings.__wrapped__()).check_url(URL("http://127.0.0.1:8025/"))
    with pytest.raises(Blocked):
        Guard(settings.__wrapped__()).check_url(URL("http://10.0.0.1:8025/"))
