"""What is tried, by whom, and what came of it."""

from typing import Any, Literal, NamedTuple
from uuid import UUID

Role = Literal["api", "worker", "platform"]
ROLES: tuple[Role, ...] = ("api", "worker", "platform")


class Finding(NamedTuple):
    """One try on one object, in a role. `result` is what came of it; `ok` is false where that tells of another tenant."""

    kind: str
    object: str
    role: str
    tried: str
    result: str
    ok: bool


class Scratch(NamedTuple):
    """The tenants of a check. Every id in a row of one of them is the tenant's own, so that any id tells whose a row is."""

    ours: UUID
    other: UUID
    """Who must not be seen."""
    fresh: UUID
    """A tenant without rows, under which copies of the other's rows are put."""
    nobody: UUID
    """An id that no tenant has: what is answered about it must be answered about the other."""


class Actor(NamedTuple):
    """A role, and the tenant that it acts for; None: no tenant is set."""

    role: Role | Literal["owner"]
    tenant: UUID | None


class Outcome(NamedTuple):
    """What a statement did before it was undone."""

    affected: int
    rows: tuple[tuple[Any, ...], ...] = ()
    state: str = ""
    """The SQLSTATE of the refusal; empty: it succeeded."""
    error: str = ""
    constraint: str = ""

    @property
    def is_forbidden(self) -> bool:
        """Whether a privilege or a policy refused it."""
        return self.state == "42501"

    @property
    def is_bound(self) -> bool:
        """Whether a policy refused it, and not a privilege."""
        return self.is_forbidden and "row-level security" in self.error

    def __str__(self) -> str:
        return self.error or f"{self.affected} rows"


class Relation(NamedTuple):
    """A table, partition or view; `key` is the column of its tenant, None: it is the operator's."""

    name: str
    kind: str
    key: str | None
    is_owned: bool
    """Whether it is signalops_owner's, whom row-level security binds when it is forced."""
    is_forced: bool
    granted: dict[str, list[str]]
    updatable: dict[str, str | None]
    """By role a column that it may change."""
    insertable: dict[str, list[str]]
    required: dict[str, str]


class Index(NamedTuple):
    """An index; a constraining one refuses rows because of others."""

    name: str
    of_table: str
    is_constraining: bool


class Sequence(NamedTuple):
    """A sequence, the column it numbers, and to which roles one of the two is shown."""

    name: str
    feeds: str | None
    shown: dict[str, bool]


class Function(NamedTuple):
    """A function or procedure; `arguments` are names and types."""

    name: str
    signature: str
    is_definer: bool
    is_procedure: bool
    is_immutable: bool
    is_trigger: bool
    is_switch: bool
    """Whether it sets for whom the transaction acts."""
    arguments: list[tuple[str, str]]
    callers: list[Role]
