"""Configurations of the channels over HTTP: what may stand in their headers, and what may be secret."""

from typing import Any

import pytest

from signalops.config import Settings
from signalops.errors import Invalid
from signalops.send.channels import configured
from signalops.types import ChannelKind

URL = {"url": "https://example.com/hook"}


@pytest.mark.parametrize("kind", ["webhook", "http"])
@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Host": "internal"}, "set by SignalOps"),
        ({"content-LENGTH": "0"}, "set by SignalOps"),
        ({"Content-Type": "text/html"}, "set by SignalOps"),
        ({"Webhook-Id": "msg_1"}, "set by SignalOps"),
        ({"webhook-signature": "v1,x"}, "set by SignalOps"),
        ({"Transfer-Encoding": "chunked"}, "set by SignalOps"),
        ({"Connection": "close"}, "set by SignalOps"),
        ({"Upgrade": "websocket"}, "set by SignalOps"),
        ({"TE": "trailers"}, "set by SignalOps"),
        ({"Proxy-Authorization": "x"}, "set by SignalOps"),
        ({"Idempotency-Key": "x"}, "set by SignalOps"),
        ({"Authorization": "Bearer x"}, "a credential"),
        ({"cookie": "a=b"}, "a credential"),
        ({"X-A: b\r\nX-B": "c"}, "no name of a header"),
        ({"": "c"}, "no name of a header"),
        ({"X A": "c"}, "no name of a header"),
        ({"Ü": "c"}, "no name of a header"),
        ({"X-A": "b\r\nX-B: c"}, "without line breaks"),
        ({"X-A": "b\n"}, "without line breaks"),
        ({"X-A": "\0"}, "ASCII"),
        ({"X-A": "ü"}, "ASCII"),
        ({"X-A": ""}, "1 to 1024"),
        ({"X-A": " b"}, "outer blanks"),
        ({"X-A": "b" * 1025}, "1 to 1024"),
        ({"X-A": "b", "x-a": "c"}, "given twice"),
        ({f"X-{number}": "b" for number in range(21)}, "at most 20"),
        ({"X-A": 1}, "must be a string"),
    ],
)
def test_a_header_that_could_break_the_request_is_refused(kind: ChannelKind, headers: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=f"channel is not valid: headers.*{why}"):
        configured(kind, {**URL, "headers": headers})


@pytest.mark.parametrize("kind", ["webhook", "http"])
def test_other_headers_are_kept(kind: ChannelKind) -> None:
    headers = {f"X-{number}": "b" * 1024 for number in range(18)} | {"User-Agent": "Acme 1.0; (shop)", "Accept": "*/*"}
    assert configured(kind, {**URL, "headers": headers}).model_dump()["headers"] == headers


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"method": "GET"}, "method"),
        ({"method": "post"}, "method"),
        ({"contentType": "json"}, "contentType"),
        ({"contentType": "text/plain\r\nX: y"}, "contentType"),
        ({"contentType": "text/plain; charset=utf-16"}, "contentType"),
        ({"content_type": "text/plain"}, "content_type"),
        ({"secretHeader": "Host"}, "secretHeader"),
        ({"secretHeader": "X:"}, "secretHeader"),
        ({"secretHeader": "Content-Length"}, "secretHeader"),
    ],
)
def test_an_http_channel_s_mistakes_are_told_by_field(config: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid, match=f"http channel is not valid: {field}:"):
        configured("http", {**URL, **config})


@pytest.mark.parametrize(
    ("media_type", "markup"),
    [
        ("application/json", "json"),
        ("application/vnd.acme.v2+json; charset=utf-8", "json"),
        ("text/plain; charset=utf-8", "text"),
        ("application/xml", "text"),
    ],
)
def test_the_media_type_decides_how_values_are_written(media_type: str, markup: str) -> None:
    channel = configured("http", {**URL, "contentType": media_type})
    assert channel.body_markup == markup
    assert configured("http", channel.model_dump(mode="json")) == channel


def test_an_http_channel_keeps_a_secret_that_can_be_sent() -> None:
    channel = configured("http", URL)
    assert (channel.normalize_secret(None), channel.normalize_secret("Bearer abc")) == (None, "Bearer abc")
    for bad in ("", "a\r\nHost: b", "ü", "a" * 1025):
        with pytest.raises(Invalid, match="The secret can't be sent"):
            channel.normalize_secret(bad)


def test_a_slack_channel_s_secret_is_its_webhook_s_url() -> None:
    channel = configured("slack", {})
    url = "https://hooks.slack.com/services/T0/B0/x"
    assert channel.normalize_secret(url) == url
    channel.check(url, Settings())
    for bad in (None, "", "xoxb-1", "hooks.slack.com/services"):
        with pytest.raises(Invalid, match="must be the url of a Slack incoming webhook"):
            channel.normalize_secret(bad)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/services/T0/B0/x",
        "http://hooks.slack.com/services/T0/B0/x",
        "https://hooks.slack.com.example.com/",
        "https://hooks.slack.com@example.com/",
        "https://user@hooks.slack.com/",
        "https://hooks.slack.com:8443/",
        "https:\\\\example.com\\hooks.slack.com/",
    ],
)
def test_a_url_of_others_is_no_slack_webhook_s(url: str) -> None:
    channel = configured("slack", {})
    secret = channel.normalize_secret(url)
    with pytest.raises(Invalid, match=r"begins with https://hooks\.slack\.com/"):
        channel.check(secret, Settings())
