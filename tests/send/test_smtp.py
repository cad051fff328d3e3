"""The email channel against a real mail server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydantic import SecretStr

from signalops.config import Settings
from signalops.send.mail import Mail, written
from signalops.send.smtp import MAX_MAILS, Busy, Mailer, Server
from signalops.send.ssrf_guard import Guard
from signalops.types import DeliveryId
from tests.support.providers import LOGIN, MailServer
from tests.support.receivers import Mailbox, free_port
from tests.support.worlds.outbox import Outbox

TO = "ops@example.com"


@asynccontextmanager
async def running(server: MailServer) -> AsyncIterator[MailServer]:
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The one authority that is trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


async def deliver(outbox: Outbox, delivery: DeliveryId, **settings: Any) -> None:
    """Make an attempt and hang up: a stand-in that stops leaves no connection open."""
    sender = outbox.sender(**settings)
    await sender.deliver(outbox.tenant, delivery)
    await sender.close()


def tls(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_mail_arrives(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, secret = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel, subject="Grüße an {{ payload.email }}", body="Neu: {{ payload.email }}\n")
    sender = outbox.sender(smtp_port=mailbox.port, mail_from="Ops <ops@signalops.example>")
    await sender.deliver(outbox.tenant, delivery)
    (mail,) = mailbox.received
    assert secret is None
    assert mailbox.recipients == [TO]
    assert (mail["From"], mail["To"]) == ("Ops <ops@signalops.example>", TO)
    assert mail["Subject"] == "Grüße an user@example.com"
    assert mail["Message-ID"] == f"<{delivery.hex}@signalops.example>"
    assert mail.get_payload(decode=True) == b"Neu: user@example.com\r\n"
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"], attempt["answer"]) == ("sent", 250, "kept")


async def test_without_a_template_the_mail_lists_the_payload(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    await outbox.sender(smtp_port=mailbox.port).deliver(outbox.tenant, outbox.delivery(channel))
    (mail,) = mailbox.received
    body = mail.get_payload(decode=True)
    assert mail["Subject"] == "user.signup"
    assert isinstance(body, bytes)
    assert b"email: user@example.com\r\n" in body


async def test_values_are_neutralised_in_each_part(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    name = "<script>\r\nBcc: victim@example.com\x07"
    template = dict.fromkeys(("subject", "body", "html"), "<b>{{ payload.name }}</b>")
    delivery = outbox.add_delivery(channel, outbox.event({"name": name}), outbox.rule(channel, template, "critical"))
    await outbox.sender(smtp_port=mailbox.port).deliver(outbox.tenant, delivery)
    (mail,) = mailbox.received
    assert outbox.row(delivery)["status"] == "sent"
    assert mail["Subject"] == "<b><script> Bcc: victim@example.com</b>"
    assert (mail["Bcc"], mail["X-SignalOps-Severity"], mail["Importance"]) == (None, "critical", "high")
    assert isinstance(mail, EmailMessage)
    text, html = (part.get_content() for part in mail.iter_parts())
    assert text.splitlines() == ["<b><script>", "Bcc: victim@example.com</b>"]
    assert html.splitlines() == ["<b>&lt;script&gt;", "Bcc: victim@example.com</b>"]


async def test_each_attempt_has_the_same_message_id(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel)
    mailbox.replies.append("451 try later")
    sender = outbox.sender(smtp_port=mailbox.port)
    await sender.deliver(outbox.tenant, delivery)
    outbox.wake(delivery)
    await sender.deliver(outbox.tenant, delivery)
    assert [mail["Message-ID"] for mail in mailbox.received] == [f"<{delivery.hex}@localhost>"] * 2
    assert outbox.row(delivery)["status"] == "sent"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("421 closing", "transient"),
        ("451 4.7.1 greylisted", "transient"),
        ("550 5.1.1 no such user", "permanent"),
        ("554 spam", "permanent"),
    ],
)
@pytest.mark.parametrize("stage", ["recipient_replies", "replies"])
async def test_the_server_s_code_decides(outbox: Outbox, mailbox: Mailbox, stage: str, reply: str, outcome: str) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel)
    getattr(mailbox, stage).append(reply)
    await outbox.sender(smtp_port=mailbox.port).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"]) == (outcome, int(reply[:3]))
    assert attempt["answer"] == reply[4:]
    assert outbox.row(delivery)["status"] == ("retrying" if outcome == "transient" else "dead")


async def test_a_line_break_in_the_subject_is_permanent(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel, subject="Hello\r\nBcc: victim@example.com")
    await outbox.sender(smtp_port=mailbox.port).deliver(outbox.tenant, delivery)
    assert outbox.attempts(delivery)[0]["outcome"] == "permanent"
    assert "correct the rule's template" in outbox.dead_letters(delivery)[0]["error"]
    assert mailbox.received == []


async def test_a_server_that_refuses_connections_is_tried_again(outbox: Outbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel)
    await outbox.sender(smtp_port=free_port()).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"]) == ("transient", None)
    assert "can't be reached" in attempt["error"]


async def test_a_server_that_does_not_answer_in_time_is_tried_again(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel)
    mailbox.blocked = asyncio.Event()
    await outbox.sender(smtp_port=mailbox.port, send_timeout=0.3).deliver(outbox.tenant, delivery)
    (attempt,) = outbox.attempts(delivery)
    assert (attempt["outcome"], attempt["error"]) == ("transient", "The mail server did not answer in time.")


@pytest.mark.parametrize("greeting", [b"554 no service\r\n", b"421 \xff\xfe\r\n", b"\xff\xfe\r\n", b""])
async def test_a_server_that_turns_everybody_away_is_tried_again(outbox: Outbox, greeting: bytes) -> None:
    async def turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(turn_away, "127.0.0.1", 0) as server:
        channel, _ = await outbox.channel("email", to=TO)
        delivery = outbox.delivery(channel)
        await outbox.sender(smtp_port=server.sockets[0].getsockname()[1]).deliver(outbox.tenant, delivery)
    assert outbox.attempts(delivery)[0]["outcome"] == "transient"
    assert outbox.row(delivery)["status"] == "retrying"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_mail_goes_encrypted_and_logged_in(outbox: Outbox, authority: trustme.CA, security: Any) -> None:
    async with running(MailServer(tls(authority), implicit=security == "tls", login=True)) as server:
        channel, _ = await outbox.channel("email", to=TO)
        delivery = outbox.delivery(channel)
        login = {"smtp_username": LOGIN[0], "smtp_password": SecretStr(LOGIN[1])}
        await deliver(outbox, delivery, smtp_port=server.port, smtp_security=security, **login)
        assert outbox.row(delivery)["status"] == "sent"
        assert [encrypted for _, encrypted in server.peers] == [True]
        assert server.passwords == [LOGIN[1].encode()]


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_nothing_is_said_to_a_server_with_a_wrong_certificate(
    outbox: Outbox, authority: trustme.CA, security: Any, wrong: str
) -> None:
    context = tls(trustme.CA()) if wrong == "authority" else tls(authority, "mail.example.com")
    async with running(MailServer(context, implicit=security == "tls", login=True)) as server:
        channel, _ = await outbox.channel("email", to=TO)
        delivery = outbox.delivery(channel)
        login = {"smtp_username": LOGIN[0], "smtp_password": SecretStr(LOGIN[1])}
        await deliver(outbox, delivery, smtp_port=server.port, smtp_security=security, **login)
        (attempt,) = outbox.attempts(delivery)
        assert (attempt["outcome"], server.passwords, server.peers) == ("transient", [], [])
        assert attempt["error"] == "The mail server's certificate can't be verified."


async def test_a_server_without_starttls_gets_neither_mail_nor_password(outbox: Outbox) -> None:
    async with running(MailServer(login=True)) as server:
        channel, _ = await outbox.channel("email", to=TO)
        delivery = outbox.delivery(channel)
        login = {"smtp_username": LOGIN[0], "smtp_password": SecretStr(LOGIN[1])}
        await deliver(outbox, delivery, smtp_port=server.port, smtp_security="starttls", **login)
        assert (outbox.attempts(delivery)[0]["outcome"], server.passwords, server.peers) == ("transient", [], [])


@pytest.mark.parametrize(("password", "outcome"), [(LOGIN[1], "sent"), ("wrong", "misconfigured")])
async def test_a_tenant_s_own_server_sends_in_its_own_name(
    outbox: Outbox, authority: trustme.CA, password: str, outcome: str
) -> None:
    async with running(MailServer(tls(authority), login=True)) as server:
        channel, _ = await outbox.channel("email", secret=password, to=TO, server=server.config)
        delivery = outbox.delivery(channel)
        await deliver(outbox, delivery, smtp_port=free_port())
        (attempt,) = outbox.attempts(delivery)
        assert attempt["outcome"] == outcome
        assert password not in str(attempt)
        assert [mail["From"] for mail in server.received] == (["ops@acme.example"] if outcome == "sent" else [])


async def test_a_login_that_the_installation_s_server_refuses_is_tried_again(outbox: Outbox) -> None:
    async with running(MailServer(login=True)) as server:
        channel, _ = await outbox.channel("email", to=TO)
        delivery = outbox.delivery(channel)
        login = {"smtp_username": LOGIN[0], "smtp_password": SecretStr("wrong")}
        await deliver(outbox, delivery, smtp_port=server.port, **login)
        assert (outbox.attempts(delivery)[0]["outcome"], set(server.passwords)) == ("transient", {b"wrong"})


@pytest.mark.parametrize("changed", [{"send_allowed_networks": ()}, {"send_plain_http": False}])
async def test_a_tenant_s_own_server_must_be_public_and_speak_tls(outbox: Outbox, changed: dict[str, object]) -> None:
    async with running(MailServer()) as server:
        config = {"host": "127.0.0.1", "port": server.port, "security": "none", "sender": "ops@acme.example"}
        channel, _ = await outbox.channel("email", to=TO, server=config)
        first, second = outbox.delivery(channel), outbox.delivery(channel)
        await deliver(outbox, first)
        await deliver(outbox, second, **changed)
        assert outbox.row(first)["status"] == "sent"
        assert (outbox.attempts(second)[0]["outcome"], len(server.peers)) == ("misconfigured", 1)


async def test_ses_s_name_of_the_mail_is_kept(outbox: Outbox, mailbox: Mailbox) -> None:
    channel, _ = await outbox.channel("email", to=TO)
    delivery = outbox.delivery(channel)
    mailbox.replies.append("250 Ok 0102018f-6b7c-000000")
    sender = outbox.sender(smtp_port=mailbox.port, ses_configuration_set="ours")
    await sender.deliver(outbox.tenant, delivery)
    assert outbox.row(delivery)["provider_id"] == "0102018f-6b7c-000000"
    assert mailbox.received[0]["X-SES-MESSAGE-TAGS"] == f"tenant={outbox.tenant}, delivery={delivery}"


def mail() -> Mail:
    return Mail("a@b.example", TO, written({"From": "a@b.example", "To": TO}, "Hello", None))


@asynccontextmanager
async def mailing(settings: Settings, **options: Any) -> AsyncIterator[Mailer]:
    guard = Guard(settings)
    mailer = Mailer(guard, settings, **options)
    try:
        yield mailer
    finally:
        await mailer.close()
        await guard.close()


async def test_one_connection_carries_mail_after_mail_also_after_a_refusal(outbox: Outbox) -> None:
    async with running(MailServer()) as server:
        channel, _ = await outbox.channel("email", to=TO)
        sender = outbox.sender(smtp_port=server.port)
        deliveries = [outbox.delivery(channel) for _ in range(4)]
        for delivery in deliveries:
            server.recipient_replies += ["550 no such user"] if delivery == deliveries[1] else []
            await sender.deliver(outbox.tenant, delivery)
        assert [outbox.row(delivery)["status"] for delivery in deliveries] == ["sent", "dead", "sent", "sent"]
        assert len(set(server.peers)) == 1
        await sender.close()
        assert await asyncio.to_thread(server.farewells.get, timeout=5) == server.peers[0][0]


async def test_a_connection_is_retired_after_its_share_of_mails(settings: Settings) -> None:
    async with running(MailServer()) as server, mailing(settings) as mailer:
        for _ in range(MAX_MAILS + 1):
            await mailer.send(Server("127.0.0.1", server.port, "none"), mail())
        first, *_, last = server.peers
        assert server.peers == [first] * MAX_MAILS + [last]
        assert last != first
        assert await asyncio.to_thread(server.farewells.get, timeout=5) == first[0]


async def test_an_idle_connection_is_ended(settings: Settings) -> None:
    async with running(MailServer()) as server, mailing(settings, most_idle=0.01) as mailer:
        await asyncio.gather(*(mailer.send(Server("127.0.0.1", server.port, "none"), mail()) for _ in range(3)))
        ended = {await asyncio.to_thread(server.farewells.get, timeout=5) for _ in set(server.peers)}
        assert ended == {peer for peer, _ in server.peers}


async def test_a_connection_that_does_not_feel_well_is_replaced(settings: Settings) -> None:
    async with running(MailServer()) as server, mailing(settings, sure=0) as mailer:
        where = Server("127.0.0.1", server.port, "none")
        await mailer.send(where, mail())
        await mailer.send(where, mail())
        server.rset_replies.append("421 going down")
        await mailer.send(where, mail())
        assert [peer == server.peers[0] for peer in server.peers] == [True, True, False]


async def test_a_server_that_was_restarted_is_called_again(settings: Settings) -> None:
    async with mailing(settings) as mailer:
        first = MailServer()
        where = Server("127.0.0.1", first.port, "none")
        async with running(first):
            await mailer.send(where, mail())
        second = MailServer(port=first.port)
        async with running(second):
            await mailer.send(where, mail())
        assert (len(first.peers), len(second.peers)) == (1, 1)


async def test_a_mail_that_was_cut_off_leaves_no_connection_behind(settings: Settings) -> None:
    async with running(MailServer()) as server, mailing(settings) as mailer:
        where = Server("127.0.0.1", server.port, "none")
        await mailer.send(where, mail())
        server.blocked = asyncio.Event()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await mailer.send(where, mail())
        server.blocked = None
        await mailer.send(where, mail())
        assert server.peers[-1] != server.peers[0]


async def test_the_password_shows_nowhere() -> None:
    assert "secret" not in repr(Server("mail.example.com", 25, "tls", "acme", "secret"))


async def test_a_burst_shares_the_connections_that_are_allowed(settings: Settings) -> None:
    few = settings.model_copy(update={"smtp_connections": 3})
    async with running(MailServer()) as server, mailing(few) as mailer:
        await asyncio.gather(*(mailer.send(Server("127.0.0.1", server.port, "none"), mail()) for _ in range(20)))
        assert (len(server.peers), len(set(server.peers))) == (20, 3)


async def test_who_finds_no_connection_in_time_has_sent_nothing(settings: Settings) -> None:
    few = settings.model_copy(update={"smtp_connections": 1, "send_timeout": 0.3})
    async with running(MailServer()) as server, mailing(few) as mailer:
        server.blocked = asyncio.Event()
        mails = (mailer.send(Server("127.0.0.1", server.port, "none"), mail()) for _ in range(3))
        errors = await asyncio.gather(*mails, return_exceptions=True)
        # The last one waits while two others time out one after the other.
        assert {type(error) for error in errors} == {Busy, TimeoutError}
