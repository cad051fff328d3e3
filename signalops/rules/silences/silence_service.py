"""Creates, ends and lists silences, in a transaction of the tenant. Ended silences stay on record."""

from uuid import UUID

from signalops import db
from signalops.errors import Conflict, NotFound
from signalops.rules import rule_queries
from signalops.rules.silences.silence_models import NewSilence, SilenceShown
from signalops.rules.validate import pattern_faults, refuse
from signalops.types import TenantId

MAX_SILENCES = 100
"""Maximum number of a tenant's silences that have not ended: each is checked for every match."""


async def add(connection: db.Connection, tenant: TenantId, new: NewSilence) -> UUID:
    """Make a silence; Invalid, or Conflict when there are too many."""
    refuse(pattern_faults(new.grammar, new.pattern))
    silence = await db.new_id(connection)
    await rule_queries.add_silence(
        connection,
        tenant=tenant,
        id=silence,
        grammar=new.grammar,
        pattern=new.pattern,
        starts_at=new.starts_at,
        ends_at=new.until,
        reason=new.reason,
    )
    # Counted after the insert, whose trigger locks the tenant's row of ruleset_versions: two at once can't both be the last.
    if len(await rule_queries.active_silences(connection, tenant)) > MAX_SILENCES:
        raise Conflict(f"There are {MAX_SILENCES} silences already: end one, or make one of several.")
    return silence


async def show(connection: db.Connection, tenant: TenantId, silence: UUID) -> SilenceShown:
    """Return a silence; NotFound."""
    rows = await rule_queries.list_silences(connection, tenant, id=silence)
    if not rows:
        raise NotFound("There is no such silence: check the id.")
    return SilenceShown.model_validate(rows[0])


async def end(connection: db.Connection, tenant: TenantId, silence: UUID) -> SilenceShown:
    """End a silence now, unless it has ended; NotFound."""
    await rule_queries.end_silence(connection, tenant, silence)
    return await show(connection, tenant, silence)
