"""Slack: a message through an incoming webhook, whose url is the secret (https://docs.slack.dev/messaging/)."""

import json
from typing import ClassVar

from pydantic import HttpUrl, TypeAdapter, ValidationError

from signalops.config import Settings
from signalops.errors import Invalid
from signalops.send.channels.base import Channel
from signalops.send.markup import NEUTRALISERS, Markup
from signalops.send.message_models import Envelope, Outcome
from signalops.send.response import Answer, classify
from signalops.send.transport import Request, Transport

TEXT_LIMIT = 40_000
"""Characters of a text beyond which Slack cuts it off."""

# "Handling errors" of "Sending messages using incoming webhooks": what stays so until somebody makes a new webhook.
_GONE = frozenset(("no_service", "no_service_id", "no_team", "no_active_hooks", "team_disabled", "invalid_token"))
_GONE |= {"channel_is_archived", "channel_not_found"}


class Slack(Channel):
    """A message to the Slack channel for which the incoming webhook was made."""

    markup: ClassVar[Markup] = "slack"

    def normalize_secret(self, secret: str | None) -> str:
        try:
            return str(TypeAdapter(HttpUrl).validate_python(secret))
        except ValidationError as error:
            raise Invalid("The secret must be the url of a Slack incoming webhook: copy it from the app's page.") from error

    def check(self, secret: str | None, settings: Settings) -> None:
        if secret is None or not secret.startswith(settings.slack_url):
            raise Invalid(f"The secret must be the url of a Slack incoming webhook: it begins with {settings.slack_url}.")

    async def send(self, envelope: Envelope, transport: Transport) -> Outcome:
        self.check(envelope.secret, transport.settings)
        assert envelope.secret is not None
        # What an event may contain is no reason to fetch a page and show it.
        message = {"text": _text(envelope), "unfurl_links": False, "unfurl_media": False}
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return await transport.call(Request(envelope.secret, json.dumps(message).encode(), headers), _classify)


def _text(envelope: Envelope) -> str:
    subject = NEUTRALISERS["slack"](envelope.message.subject)
    text = f"*{subject}*\n{envelope.message.body}" if subject else envelope.message.body
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


def _classify(answer: Answer) -> Outcome:
    word = answer.text.strip()
    if answer.status >= 400 and word in _GONE:
        return answer.outcome("gone", f"Slack answered {word}: make a new incoming webhook, and give its url as the secret.")
    return classify(answer)
