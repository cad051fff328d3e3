"""After replays the invariants of the whole still hold; and they would notice a replay that lost a batch."""

from uuid import UUID

from tests.support.invariants import violations
from tests.support.rules import make_rule
from tests.support.worlds.replaying import Replaying


async def test_replays_break_no_invariant(replaying: Replaying) -> None:
    make_rule(replaying.owner, replaying.tenant, {"payload": {"plan": ["pro"]}})
    events = await replaying.accept({"plan": "pro"}, {"plan": "free"})
    await replaying.process()
    acknowledged = [(replaying.tenant.id, UUID(event)) for event in events]
    for _ in range(2):
        await replaying.replay(events=events)
        await replaying.process()
    assert violations(replaying.owner, acknowledged) == []

    replaying.owner.execute("update signalops.replays set events = events + 1")
    (broken,) = violations(replaying.owner, acknowledged)
    assert broken.startswith("every replay is on record with as many events as it has: 2")
