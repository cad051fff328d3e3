"""Telegram: a message of a bot to one chat (https://core.telegram.org/bots/api#sendmessage)."""

import asyncio
import html
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import Field

from signalops.errors import Invalid
from signalops.send.channels.base import Channel, read_object
from signalops.send.markup import NEUTRALISERS, Markup
from signalops.send.message_models import Envelope, Outcome, OutcomeKind
from signalops.send.response import Answer, patience
from signalops.send.transport import Request, Transport
from signalops.types import JsonObject
from signalops.validation import shape

MAX_TEXT_LENGTH = 4096
"""UTF-16 code units of a message, tags not counted and an entity as what it stands for."""
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{20,100}")
_MAX_PARSED = 16 * MAX_TEXT_LENGTH
"""Maximum length of HTML that can be needed for the visible text, each character as an entity: the rest is not parsed."""
# Possessive: `<aaaa...` without an end took quadratic time.
_PIECE = re.compile(r"<(?P<end>/?+)(?P<tag>[A-Za-z-]++)[^<>]*+>|&#?\w{1,31};|.", re.DOTALL)


class Telegram(Channel):
    """A bot's messages to one chat. The secret is the bot's token."""

    markup: ClassVar[Markup] = "telegram"
    chat_id: (
        Annotated[int, Field(ge=-(2**52), le=2**52)]
        | Annotated[
            str,
            Field(
                pattern=shape(r"^@[A-Za-z0-9_]{4,32}$", "must be a channel's name such as @acme_alerts, or the number of a chat")
            ),
        ]
    ) = Field(description="The chat's number, or a public channel's @name.")
    message_thread_id: int | None = Field(None, ge=1, le=2**52, description="The topic in a forum.")
    disable_notification: bool = Field(False, description="Without a sound.")

    def normalize_secret(self, secret: str | None) -> str:
        if secret is None or not _TOKEN.fullmatch(secret):
            raise Invalid("The secret must be the bot's token, such as 123456:ABC-DEF...: @BotFather shows it.")
        return secret

    def account(self, secret: str | None) -> str | None:
        return None if secret is None else secret.partition(":")[0]

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        token = envelope.secret
        if token is None:
            return Outcome("misconfigured", error="The Telegram channel has no bot token: give it one.")
        url = f"{transport.settings.telegram_url}/bot{token}/sendMessage"
        headers = {"Content-Type": "application/json"}
        # The url contains the token: who answers may repeat it, and what Telegram says becomes the error.
        request = Request(url, orjson.dumps(await asyncio.to_thread(self.body, envelope)), headers, secret=token)
        return await transport.call(request, classify)

    def body(self, envelope: Envelope) -> JsonObject:
        """Return the parameters of sendMessage: the subject in bold, the message below."""
        subject = NEUTRALISERS["telegram"](envelope.message.subject)
        body: JsonObject = {
            "chat_id": self.chat_id,
            "text": cut(f"<b>{subject}</b>\n\n{envelope.message.body}"),
            "parse_mode": "HTML",
            # Telegram's servers would request any link that an event contains.
            "link_preview_options": {"is_disabled": True},
            "disable_notification": self.disable_notification,
        }
        return body | ({"message_thread_id": self.message_thread_id} if self.message_thread_id else {})


def cut(text: str, longest: int = MAX_TEXT_LENGTH) -> str:
    """Return an HTML text whose visible part has at most `longest` UTF-16 code units: cut after a character, tags closed."""
    opened: list[str] = []
    length = end = 0
    closing = ""
    for piece in _PIECE.finditer(_without_rest(text)):
        if tag := piece["tag"]:
            _follow(opened, tag.lower(), bool(piece["end"]))
            continue
        length += len(html.unescape(piece[0]).encode("utf-16-le")) // 2
        if length < longest:
            end, closing = piece.end(), "".join(f"</{tag}>" for tag in reversed(opened))
        elif length > longest:
            return f"{text[:end]}…{closing}"
    return text if len(text) <= _MAX_PARSED else f"{text[:end]}…{closing}"


def _without_rest(text: str) -> str:
    """Return what is looked at of a text, without a tag or an entity that would be cut in two."""
    head = text[:_MAX_PARSED]
    opened = max(head.rfind("<"), head.rfind("&"))
    return head[:opened] if len(text) > _MAX_PARSED and opened > max(head.rfind(">"), head.rfind(";")) else head


def _follow(opened: list[str], tag: str, ends: bool) -> None:
    if not ends:
        opened.append(tag)
    elif opened and opened[-1] == tag:
        opened.pop()


def classify(answer: Answer) -> Outcome:
    """Return what Telegram's answer means (https://core.telegram.org/bots/api#making-requests)."""
    document = read_object(answer.body)
    if answer.status == 200 and document.get("ok") is True:
        return replace(answer.outcome("sent"), provider_id=_text(_member(document, "result", "message_id")))
    if "ok" not in document:
        return answer.outcome("transient", f"Telegram answered {answer.status}, and nothing that can be read.")
    if moved := _text(_member(document, "parameters", "migrate_to_chat_id")):
        return answer.outcome("misconfigured", f"The group has become a supergroup: set chatId to {moved}.")
    description = str(document.get("description", answer.status)).removesuffix(".")
    outcome = answer.outcome(_kind(answer.status), f"Telegram answered: {description}.")
    return replace(outcome, retry_after=_seconds(_member(document, "parameters", "retry_after")) or outcome.retry_after)


def _kind(status: int) -> OutcomeKind:
    """Sort a refusal: 401 and 404 are the token's fault, others the message's or the chat's."""
    if status == 429:
        return "throttled"
    if status in (401, 404):
        return "misconfigured"
    return "permanent" if 400 <= status < 500 else "transient"


def _member(document: Mapping[str, Any], group: str, name: str) -> object:
    members = document.get(group)
    return members.get(name) if isinstance(members, dict) else None


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, int) else None


def _seconds(value: object) -> float | None:
    return patience(value) if isinstance(value, int) else None
