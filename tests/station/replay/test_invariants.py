"""After replays the invariants of the whole still hold; and they would notice a replay that lost a batch."""

from uuid import UUID

from tests.chaos.invariants import violations
from tests.people import make_rule
from tests.station.replay.conftest import World


async def test_replays_break_no_invariant(world: World) -> None:
    make_rule(world.owner, world.tenant, {"payload": {"plan": ["pro"]}})
    events = await world.accept({"plan": "pro"}, {"plan": "free"})
    await world.process()
    acknowledged = [(world.tenant.id, UUID(event)) for event in events]
    for _ in range(2):
        await world.replay(events=events)
        await world.process()
    assert violations(world.owner, acknowledged) == []

    world.owner.execute("update signalops.replays set events = events + 1")
    (broken,) = violations(world.owner, acknowledged)
    assert broken.startswith("every replay is on record with as many events as it has: 2")
