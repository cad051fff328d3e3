"""WhatsApp's configuration and secret, and texts cut to what it takes."""

import json
from uuid import UUID

import pytest

from signalops.errors import Invalid
from signalops.send.channels import configured
from signalops.send.channels.whatsapp import MAX_TEXT_LENGTH, Credentials, WhatsApp
from signalops.send.message_models import Envelope, Message, Notification
from signalops.types import DeliveryId

CONFIG = {"to": "+4915112345678", "phoneNumberId": "1234567"}
CHANNEL = configured("whatsapp", CONFIG)
APP_SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "changed",
    [
        {"to": "4915112345678x"},
        {"to": "+49151,+49152"},
        {"phoneNumberId": "1/../2"},
        {"phoneNumberId": ""},
        {"template": {"name": "T", "language": "en"}},
        {"template": {"name": "t", "language": "english"}},
        {"template": {"name": "t", "language": "en", "parameters": ["{{ payload."]}},
        {"template": {"name": "t", "language": "en", "parameters": ["{{ payload.a | nosuch }}"]}},
        {"template": {"name": "t", "language": "en", "parameters": ["x"] * 21}},
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_by_field(changed: dict[str, object]) -> None:
    with pytest.raises(Invalid, match=next(iter(changed))):
        configured("whatsapp", CONFIG | changed)


def test_a_configuration_that_fits_is_kept() -> None:
    template = {"name": "t_1", "language": "pt_BR", "parameters": ["{{ payload.a }}"]}
    assert CHANNEL.model_dump(mode="json") == CONFIG | {"template": None}
    assert configured("whatsapp", CONFIG | {"template": template}).model_dump(mode="json")["template"] == template


def test_a_secret_is_a_token_or_all_that_is_secret() -> None:
    assert CHANNEL.normalize_secret("EAAG") == '{"accessToken":"EAAG"}'
    whole = {"accessToken": "EAAG", "appSecret": APP_SECRET, "verifyToken": "v" * 20}
    assert json.loads(CHANNEL.normalize_secret(json.dumps(whole)) or "") == whole


def test_a_verify_token_is_made_when_it_is_missing() -> None:
    given = json.dumps({"accessToken": "EAAG", "appSecret": APP_SECRET})
    made = [Credentials.of(CHANNEL.normalize_secret(given) or "").verify_token for _ in range(2)]
    assert all(token and len(token) >= 32 for token in made)
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "bad", [None, "", "two words", '{"accessToken": "EAAG", "appSecret": "short"}', '{"token": "EAAG"}', "{", "EAA\nG"]
)
def test_what_is_no_secret_is_refused_without_showing_it(bad: str | None) -> None:
    with pytest.raises(Invalid, match="must be the access token") as refused:
        CHANNEL.normalize_secret(bad)
    assert "EAAG" not in refused.value.detail


@pytest.mark.parametrize(
    ("length", "cut"), [(MAX_TEXT_LENGTH - 7, False), (MAX_TEXT_LENGTH - 6, False), (MAX_TEXT_LENGTH - 5, True)]
)
async def test_a_text_is_cut_to_what_is_taken(length: int, cut: bool) -> None:
    channel = WhatsApp.model_validate(CONFIG)
    message = Message("S?", "x" * length)  # with *S?* and an empty line
    envelope = Envelope(DeliveryId(UUID(int=1)), Notification({}, {}), message, None)
    body = (await channel.body(envelope))["text"]["body"]
    assert len(body) == min(length + 6, MAX_TEXT_LENGTH)
    assert body.endswith("…") is cut
