"""What events are grouped and measured by: equal values are the same text."""

from decimal import Decimal

from signalops.patterns.groups import Grouping, Measured, canonical

EVENT = {"type": "a", "payload": {"user": {"id": 7}, "tags": ["x", "y"], "items": [{"n": 1}, {"n": 2.5}, {"n": "3"}]}}


def test_a_group_is_the_list_of_its_values() -> None:
    group = Grouping(["payload.user.id", "payload.missing", "payload.tags"]).of(EVENT)
    assert group.key == '[7,null,["x","y"]]'
    assert group.labels == {"payload.user.id": 7, "payload.missing": None, "payload.tags": ["x", "y"]}
    assert Grouping([]).of(EVENT).key == "[]"


def test_what_is_measured() -> None:
    assert Measured("payload.items.n").number(EVENT) == Decimal("3.5")
    assert Measured("payload.items.n").item(EVENT) == '[1,2.5,"3"]'
    assert Measured("payload.user.id").number(EVENT) == 7
    assert Measured("type").number(EVENT) is None
    assert Measured("payload.missing").item(EVENT) is None


def test_equal_values_have_the_same_text_and_long_ones_a_short_one() -> None:
    assert canonical(1.0) == canonical(1) != canonical("1")
    assert canonical(True) != canonical(1)
    assert len(canonical("x" * 10_000)) < 100
    assert canonical("x" * 10_000) != canonical("x" * 9_999)
