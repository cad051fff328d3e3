"""Retry-After in all its forms (RFC 9110, sections 10.2.3 and 5.6.7), and what is none."""

from datetime import UTC, datetime

import pytest

from signalops import clock
from signalops.send.backoff import MAX_WAIT
from signalops.send.response import retry_after

NOW = datetime(2026, 11, 30, 12, 0, 0, 0, UTC)
FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y")
"""IMF-fixdate, that of RFC 850, and asctime's."""


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.parametrize("form", FORMS)
def test_a_date_of_any_form_is_read(form: str) -> None:
    assert retry_after(datetime(2026, 11, 30, 12, 2, 0, 0, UTC).strftime(form)) == 120
    assert retry_after(datetime(2026, 12, 1, 8, 0, 0, 0, UTC).strftime(form)) == 20 * 3600
    assert retry_after(datetime(2026, 11, 30, 11, 0, 0, 0, UTC).strftime(form)) == 0
    assert retry_after(datetime(2027, 1, 1, tzinfo=UTC).strftime(form)) == MAX_WAIT


@pytest.mark.parametrize(
    "example", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_examples_of_the_specification_are_over(example: str) -> None:
    assert retry_after(example) == 0


def test_two_digits_of_a_year_are_of_the_next_fifty() -> None:
    assert retry_after("Wednesday, 30-Nov-70 12:00:00 GMT") == MAX_WAIT
    assert retry_after("Monday, 30-Nov-76 12:00:00 GMT") == MAX_WAIT
    assert retry_after("Wednesday, 30-Nov-77 12:00:00 GMT") == 0


def test_a_leap_second_is_a_second() -> None:
    assert retry_after("Mon, 30 Nov 2026 12:00:60 GMT") == 59


@pytest.mark.parametrize(
    "header", [None, "", "soon", "1.5", "-1", "0x10", "\u0661", "1 2", "9" * 13, "Sun, 99 Nov 1994 08:49:37 GMT"]
)
def test_what_is_none_is_none(header: str | None) -> None:
    assert retry_after(header) is None
