"""Times as requests give them: RFC 3339, its own examples included."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter, ValidationError

from signalops import clock
from signalops.clock import Moment

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        # RFC 3339, section 5.8
        ("1985-04-12T23:20:50.52Z", datetime(1985, 4, 12, 23, 20, 50, 520_000, UTC)),
        ("1996-12-19T16:39:57-08:00", datetime(1996, 12, 20, 0, 39, 57, 0, UTC)),
        ("1990-12-31T23:59:60Z", datetime(1991, 1, 1, tzinfo=UTC)),
        ("1990-12-31T15:59:60-08:00", datetime(1991, 1, 1, tzinfo=UTC)),
        ("1937-01-01T12:00:27.87+00:20", datetime(1937, 1, 1, 11, 40, 27, 870_000, UTC)),
        # sections 4.3 and 5.6: an unknown offset, lower case, a blank for the T
        ("2026-11-23T12:00:00-00:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23t12:00:00z", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23 12:00:00Z", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        # any number of digits: what is finer than a microsecond is dropped
        ("2026-11-23T12:00:00.1234567890Z", datetime(2026, 11, 23, 12, 0, 0, 123_456, UTC)),
        ("2026-11-23T12:00:00.9999999999999Z", datetime(2026, 11, 23, 12, 0, 0, 999_999, UTC)),
        ("2016-12-31T23:59:60.5Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-02-28T23:59:60Z", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_time_of_rfc_3339_is_read(text: str, moment: datetime) -> None:
    assert MOMENT.validate_python(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "1990-12-30T23:59:60Z",
        "1990-12-31T22:59:60Z",
        "1990-12-31T23:59:61Z",
        "2026-02-29T12:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T12:00:00",
        "2026-11-23T12:00:00,5Z",
        "2026-11-23T12:00:00.Z",
        "2026-11-23T12:00Z",
        "2026-11-23T12:00:00+0100",
        "20261123T120000Z",
        "2026-11-23",
        "\u0662026-11-23T12:00:00Z",
        "2026-11-23T12:00:00." + "1" * 100 + "Z",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_python(text)


def test_a_plus_that_an_address_made_a_blank_is_named() -> None:
    with pytest.raises(ValidationError, match="%2B"):
        MOMENT.validate_python("2026-11-23T12:00:00 01:00")


def test_ids_that_get_one_place_stay_in_the_order_in_which_they_were_made() -> None:
    ids = [clock.new_id_in_order() for _ in range(10_000)]
    place = str(clock.new_id())[:13]
    placed = [clock.placed(identity, place) for identity in ids]
    assert placed == sorted(placed)
    assert len(set(placed)) == 10_000
    assert {(i.version, i.variant, str(i)[:13]) for i in placed} == {(7, "specified in RFC 4122", place)}
    assert abs(clock.uuid7_time(placed[0]) - clock.now()) < timedelta(seconds=5)
