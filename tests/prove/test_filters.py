"""Every filter of templates with long values and arguments: text or a refusal, within the limits, and no process is ended."""

from typing import Any
from uuid import UUID

import pytest

from signalops import sandbox
from signalops.errors import Invalid
from signalops.send import engine
from signalops.send.message_models import Notification
from signalops.send.template import render
from signalops.types import TenantId

TENANT = TenantId(UUID(int=1))
VALUES: dict[str, Any] = {
    "a long text": "ab <c> " * 30_000,
    "a text of one letter": "a" * 200_000,
    "digits": "9" * 5_000,
    "a large number": 10**300,
    "objects": [{}] * 12_000,
    "objects with a field": [{"x": 1}] * 12_000,
    "texts": ["abcdefghij" * 2] * 9_000,
    "lists in lists": [[[1] * 20] * 20] * 20,
}
ARGUMENTS = ("", ": payload.v", ": payload.v, payload.v", ": 1000000000", ": 'x'")


def outcome(source: str, value: object) -> str:
    """Return how the rendering of a source ended; to be run where it can be ended."""
    event = {"id": "e", "type": "a", "source": None, "occurredAt": "2026-11-23T12:00:00+00:00", "payload": {"v": value}}
    try:
        render({"body": source}, Notification(event, {"id": "r", "name": "R", "version": 1, "severity": "info"}))
    except Invalid as refused:
        return refused.detail
    return "rendered"


@pytest.mark.parametrize("name", sorted(engine.filter_names()))
async def test_a_filter_is_bounded_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_TRIES", 2)  # the first may find a process that had been ended before
    await sandbox.warm()
    ended = []
    for label, value in VALUES.items():
        for arguments in ARGUMENTS:
            source = f"{{{{ payload.v | {name}{arguments} }}}}"
            try:
                assert await sandbox.run(TENANT, outcome, source, value)
            except sandbox.Stopped:
                ended.append((source, label))
    assert ended == []
