"""No process tells a secret or a word of a payload, whatever goes wrong: not in its output, nor to the queue."""

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any

import psycopg
import pytest
from aiohttp import web
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from signalops.config import Settings
from tests.support.api import Client, running_process
from tests.support.deliveries import CHANNELS
from tests.support.processes import Process, eventually
from tests.support.providers import MailServer, base, telegram_refused
from tests.support.receivers import Receiver, free_port
from tests.support.tenants import Tenant, user_headers

PLANTED = "planted-4711"
SIGNING = "whsec_" + base64.b64encode(PLANTED.encode() * 3).decode()
EVENT = {"type": "order.paid", "payload": {"word": PLANTED, PLANTED: 1}}
SPEAKS: dict[str, Any] = {"subject": f"{PLANTED} {{{{ payload.word }}}}", "body": '{"text": "{{ payload.word }}"}'}
QUOTES = {"body": "{{ payload[payload.word].missing }}"}
"""A template that fails, and whose error names what was in the payload."""
KEEP_ARGUMENTS = """
  create table public.arguments (of jsonb);
  grant insert on public.arguments to public;
  create function public.keep() returns trigger language plpgsql as
    $$ begin insert into public.arguments values (new.args); return null; end $$;
  create trigger keep after insert or update on procrastinate.procrastinate_jobs
    for each row execute function public.keep();
"""
BREAK_OFF = """
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and application_name like 'signalops worker%'
"""


async def _echo(request: web.Request) -> web.StreamResponse:
    """Answer with all that was sent: 200 at /ok, 500 elsewhere, and as Telegram does where its bots are called."""
    request_text = f"{request.path} {dict(request.headers)} {await request.text()}"
    if request.path.startswith("/bot"):
        return telegram_refused(400, request_text)
    return web.Response(text=request_text, status=200 if request.path == "/ok" else 500)


@pytest.fixture
def echoing(receiver: Receiver) -> Receiver:
    """A receiver that answers with what it was sent."""
    receiver.answers += [_echo] * 100
    return receiver


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    server = MailServer(login=True)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def planted(settings: Settings, echoing: Receiver, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose passwords are planted; the server of the tests asks for none, or the right one stays."""
    environment = {
        "SIGNALOPS_SLACK_URL": f"{base(echoing)}/",
        "SIGNALOPS_TELEGRAM_URL": base(echoing),
        "SIGNALOPS_SMTP_PORT": str(mail_server.port),
        "SIGNALOPS_SMTP_USERNAME": "signalops",
        "SIGNALOPS_SMTP_PASSWORD": PLANTED,
        "SIGNALOPS_RETRY_SCHEDULE": "[0.1]",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    login_password = conninfo_to_dict(url).get("password")
    return settings.model_copy(update={"database_url": SecretStr(make_conninfo(url, password=login_password or PLANTED))})


@pytest.fixture
def channels(echoing: Receiver, mail_server: MailServer) -> Mapping[str, dict[str, Any]]:
    """Return channels by name: the first one's receiver says yes, all others fail in ways of their own."""
    url, refusing = base(echoing), f"http://127.0.0.1:{free_port()}/{PLANTED}"
    mail = {"to": f"{PLANTED}@example.com"}
    return {
        "taken": {"kind": "webhook", "config": {"url": f"{url}/ok"}, "secret": SIGNING},
        "echoed": {"kind": "webhook", "config": {"url": f"{url}/{PLANTED}"}, "secret": SIGNING},
        "header": {"kind": "http", "config": {"url": url, "secretHeader": "x-key"}, "secret": f"Bearer {PLANTED}"},
        "refused": {"kind": "http", "config": {"url": refusing}, "secret": PLANTED},
        "slack": {"kind": "slack", "config": {}, "secret": f"{url}/services/T0/B0/{PLANTED}"},
        "telegram": {"kind": "telegram", "config": {"chatId": 1}, "secret": f"123456789:{PLANTED}-{PLANTED}"},
        "ours": {"kind": "email", "config": mail},
        "theirs": {"kind": "email", "config": mail | {"server": mail_server.config | {"security": "none"}}, "secret": PLANTED},
    }


async def _make_rules(api: Client, acme: Tenant, channels: Mapping[str, dict[str, Any]]) -> None:
    """Make each channel and try it out, a rule that tells it of every event, and one whose template fails."""
    ids: list[str] = []
    for name, channel in channels.items():
        made = await api.post({"name": name} | channel, acme, CHANNELS)
        assert made.status == 201, made
        ids.append(made.json["id"])
        assert (await api.post({}, acme, f"{CHANNELS}/{ids[-1]}/test")).status == 200
    for number, (channel_id, template) in enumerate([*((one, SPEAKS) for one in ids), (ids[0], QUOTES)]):
        rule = {"name": str(number), "pattern": {"type": ["order.paid"]}, "channel": channel_id, "template": template}
        assert (await api.post(rule, acme, "/api/rules")).status == 201


async def test_no_secret_and_no_payload_is_told_whatever_fails(
    planted: Settings,
    owner: psycopg.Connection,
    acme: Tenant,
    channels: Mapping[str, dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    def ended() -> bool:
        """Tell whether every event is processed, and each of its notifications sent or given up."""
        waits = "status in ('pending', 'sending', 'retrying')"
        inbox = owner.execute("select from signalops.inbox").rowcount
        return not inbox and not owner.execute(f"select from signalops.deliveries where {waits}".encode()).rowcount

    user = user_headers(planted, acme, "events:write")
    owner.execute(KEEP_ARGUMENTS)
    worker = Process(planted, "procrastinate", "--log-level=debug", "--app=signalops.worker.app", "worker", restarts=True)
    async with running_process(planted) as api, worker:
        await _make_rules(api, acme, channels)
        by_user = await api.request("POST", "/api/events", json=EVENT, headers=user)
        await eventually(lambda: owner.execute("select from signalops.deliveries").rowcount and ended())
        owner.execute(BREAK_OFF)
        by_key = await api.post(EVENT, acme)
        await eventually(ended)
    assert (by_user.status, by_key.status) == (202, 202)
    output = "".join(capfd.readouterr())
    ((arguments,),) = owner.execute("select string_agg(of::text, ' ') from public.arguments").fetchall()
    statuses = {status for (status,) in owner.execute("select distinct status from signalops.deliveries")}
    assert statuses == {"sent", "dead"}
    ((delivery,),) = owner.execute("select id::text from signalops.deliveries where status = 'dead' limit 1").fetchall()
    assert delivery in output
    assert delivery in arguments
    token = user["authorization"].removeprefix("Bearer ")
    assert planted.jwt_secret
    for secret in (PLANTED, SIGNING, acme.key, token, planted.jwt_secret.get_secret_value()):
        assert secret not in output
        assert secret not in arguments
