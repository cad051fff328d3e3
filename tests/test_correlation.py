"""By which id a request is found again: the client's, its trace's, or one of ours; and what is not valid is not there."""

import re

import pytest

from signalops import correlation
from signalops.correlation import Correlation, correlation_of, outbound

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def of(**headers: str) -> Correlation:
    return correlation_of([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()])


def test_the_clients_own_id_comes_first_and_its_trace_with_it() -> None:
    for sent, known, trace in [
        (of(x_request_id="order-4711"), "order-4711", None),
        (of(traceparent=PARENT), TRACE, PARENT),
        (of(x_request_id="order-4711", traceparent=PARENT), "order-4711", PARENT),
    ]:
        assert (sent.id, sent.is_sent, sent.trace) == (known, True, trace)


@pytest.mark.parametrize("wrong", ["", "a b", "é", "a\r\nb", "<a>", "a" * 129, '"quoted"'])
def test_an_id_that_is_not_plain_is_ignored(wrong: str) -> None:
    found = of(x_request_id=wrong)
    assert not found.is_sent
    assert re.fullmatch("[0-9a-f]{32}", found.id)
    assert of(x_request_id="a" * 128).is_sent


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        PARENT.upper(),
        f"ff{PARENT[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{PARENT}-more",
        PARENT[:-1],
    ],
)
def test_a_traceparent_that_the_specification_calls_invalid_is_ignored(wrong: str) -> None:
    assert not of(traceparent=wrong).is_sent


def test_of_a_later_version_what_is_known_is_taken() -> None:
    assert of(traceparent=f"cc{PARENT[2:]}-what-the-future-holds").trace == PARENT


def test_two_requests_without_an_id_have_two() -> None:
    assert of().id != of().id


def test_an_event_gives_its_id_to_a_request_that_has_none_yet() -> None:
    silent, sent, logged = of(), of(x_request_id="order-4711"), of()
    in_the_logs = logged.id
    for request in (silent, sent, logged):
        request.name("of-the-event")
    assert (silent.id, sent.id, logged.id) == ("of-the-event", "order-4711", in_the_logs)


def test_what_follows_carries_the_id_and_a_new_span_of_the_same_trace() -> None:
    assert outbound() == {}
    before = correlation.current.set(of(x_request_id="order-4711", traceparent=PARENT))
    try:
        headers = outbound()
    finally:
        correlation.current.reset(before)
    assert headers["X-Request-Id"] == "order-4711"
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", headers["traceparent"])
    assert headers["traceparent"] != PARENT
