"""What indexes tell: a row of ours that repeats another's must be answered as one that repeats nobody's."""

from tests.support.isolation import declared
from tests.support.isolation.model import Finding, Index, Outcome, Relation

_TRIED = "repeat the other's row"
Copies = dict[str, list[tuple[Outcome, Outcome]]]
"""Table to what came of rows that repeat the other's, and nobody's."""


def of_index(index: Index, relations: dict[str, Relation], copies: Copies) -> Finding:
    """Return what the tries on a table say of one of its indexes."""
    relation = relations[index.of_table]
    granted = set(relation.granted["api"] + relation.granted["worker"])
    if not index.is_constraining:
        return _finding(index, "refuses no row", True)
    if not granted & {"insert", "update"} and (relation.key is None or index.name in declared.INDEXES):
        return _finding(index, f"declared: {declared.INDEXES.get(index.name, 'no process writes its table')}", True)
    if relation.key == "id":
        # A tenant repeats nobody: every other column of the table would have to be unique.
        return _finding(
            index, "is the tenant itself" if index.name == "tenants_pkey" else "is across tenants", index.name == "tenants_pkey"
        )
    tried = copies.get(index.of_table, [])
    blamed = [
        outcome for outcome, expected in tried if outcome.constraint == index.name and outcome.constraint != expected.constraint
    ]
    if blamed:
        return _finding(index, str(blamed[0]), False)
    return _finding(index, "answered as nobody's" if tried else "untried: there is no row of its table", bool(tried))


def _finding(index: Index, result: str, ok: bool) -> Finding:
    return Finding("index", index.name, "owner", _TRIED, result, ok)
