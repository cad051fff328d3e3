"""The email channel against a real mail server."""

import asyncio
from email.message import EmailMessage

import pytest

from tests.station.send.receivers import Mailbox, World, free_port

TO = "ops@example.com"


async def test_a_mail_arrives(world: World, mailbox: Mailbox) -> None:
    channel, secret = await world.channel("email", to=TO)
    delivery = world.delivery(channel, subject="Grüße an {{ payload.email }}", body="Neu: {{ payload.email }}\n")
    sender = world.sender(smtp_port=mailbox.port, mail_from="Ops <ops@signalops.example>")
    await sender.deliver(world.tenant, delivery)
    (mail,) = mailbox.received
    assert secret is None
    assert mailbox.recipients == [TO]
    assert (mail["From"], mail["To"]) == ("Ops <ops@signalops.example>", TO)
    assert mail["Subject"] == "Grüße an user@example.com"
    assert mail["Message-ID"] == f"<{delivery.hex}@signalops.example>"
    assert mail.get_payload(decode=True) == b"Neu: user@example.com\r\n"
    (attempt,) = world.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"], attempt["answer"]) == ("sent", 250, "kept")


async def test_without_a_template_the_mail_lists_the_payload(world: World, mailbox: Mailbox) -> None:
    channel, _ = await world.channel("email", to=TO)
    await world.sender(smtp_port=mailbox.port).deliver(world.tenant, world.delivery(channel))
    (mail,) = mailbox.received
    body = mail.get_payload(decode=True)
    assert mail["Subject"] == "user.signup"
    assert isinstance(body, bytes)
    assert b"email: user@example.com\r\n" in body


async def test_values_are_neutralised_in_each_part(world: World, mailbox: Mailbox) -> None:
    channel, _ = await world.channel("email", to=TO)
    name = "<script>\r\nBcc: victim@example.com\x07"
    template = dict.fromkeys(("subject", "body", "html"), "<b>{{ payload.name }}</b>")
    delivery = world.told(channel, world.event({"name": name}), world.rule(channel, template, "critical"))
    await world.sender(smtp_port=mailbox.port).deliver(world.tenant, delivery)
    (mail,) = mailbox.received
    assert world.row(delivery)["status"] == "sent"
    assert mail["Subject"] == "<b><script> Bcc: victim@example.com</b>"
    assert (mail["Bcc"], mail["X-SignalOps-Severity"], mail["Importance"]) == (None, "critical", "high")
    assert isinstance(mail, EmailMessage)
    text, html = (part.get_content() for part in mail.iter_parts())
    assert text.splitlines() == ["<b><script>", "Bcc: victim@example.com</b>"]
    assert html.splitlines() == ["<b>&lt;script&gt;", "Bcc: victim@example.com</b>"]


async def test_each_attempt_has_the_same_message_id(world: World, mailbox: Mailbox) -> None:
    channel, _ = await world.channel("email", to=TO)
    delivery = world.delivery(channel)
    mailbox.replies.append("451 try later")
    sender = world.sender(smtp_port=mailbox.port)
    await sender.deliver(world.tenant, delivery)
    world.wake(delivery)
    await sender.deliver(world.tenant, delivery)
    assert [mail["Message-ID"] for mail in mailbox.received] == [f"<{delivery.hex}@localhost>"] * 2
    assert world.row(delivery)["status"] == "sent"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("421 closing", "temporary"),
        ("451 4.7.1 greylisted", "temporary"),
        ("550 5.1.1 no such user", "permanent"),
        ("554 spam", "permanent"),
    ],
)
@pytest.mark.parametrize("stage", ["recipient_replies", "replies"])
async def test_the_server_s_code_decides(world: World, mailbox: Mailbox, stage: str, reply: str, outcome: str) -> None:
    channel, _ = await world.channel("email", to=TO)
    delivery = world.delivery(channel)
    getattr(mailbox, stage).append(reply)
    await world.sender(smtp_port=mailbox.port).deliver(world.tenant, delivery)
    (attempt,) = world.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"]) == (outcome, int(reply[:3]))
    assert attempt["answer"] == reply[4:]
    assert world.row(delivery)["status"] == ("retrying" if outcome == "temporary" else "dead")


async def test_a_line_break_in_the_subject_is_permanent(world: World, mailbox: Mailbox) -> None:
    channel, _ = await world.channel("email", to=TO)
    delivery = world.delivery(channel, subject="Hello\r\nBcc: victim@example.com")
    await world.sender(smtp_port=mailbox.port).deliver(world.tenant, delivery)
    assert world.attempts(delivery)[0]["outcome"] == "permanent"
    assert "correct the rule's template" in world.letters(delivery)[0]["error"]
    assert mailbox.received == []


async def test_a_server_that_refuses_connections_is_tried_again(world: World) -> None:
    channel, _ = await world.channel("email", to=TO)
    delivery = world.delivery(channel)
    await world.sender(smtp_port=free_port()).deliver(world.tenant, delivery)
    (attempt,) = world.attempts(delivery)
    assert (attempt["outcome"], attempt["status_code"]) == ("temporary", None)
    assert "can't be reached" in attempt["error"]


async def test_a_server_that_does_not_answer_in_time_is_tried_again(world: World, mailbox: Mailbox) -> None:
    channel, _ = await world.channel("email", to=TO)
    delivery = world.delivery(channel)
    mailbox.held = asyncio.Event()
    await world.sender(smtp_port=mailbox.port, send_timeout=0.3).deliver(world.tenant, delivery)
    (attempt,) = world.attempts(delivery)
    assert (attempt["outcome"], attempt["error"]) == ("temporary", "The mail server did not answer in time.")


@pytest.mark.parametrize("greeting", [b"554 no service\r\n", b"421 \xff\xfe\r\n", b"\xff\xfe\r\n", b""])
async def test_a_server_that_turns_everybody_away_is_tried_again(world: World, greeting: bytes) -> None:
    async def turn_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    async with await asyncio.start_server(turn_away, "127.0.0.1", 0) as server:
        channel, _ = await world.channel("email", to=TO)
        delivery = world.delivery(channel)
        await world.sender(smtp_port=server.sockets[0].getsockname()[1]).deliver(world.tenant, delivery)
    assert world.attempts(delivery)[0]["outcome"] == "temporary"
    assert world.row(delivery)["status"] == "retrying"
