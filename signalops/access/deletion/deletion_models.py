"""The request and response models of deletions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import Field

from signalops.http import Query
from signalops.models import ApiModel


class Confirmation(Query):
    """Query of a deletion."""

    confirm: str = Field(max_length=200, description="The tenant's slug, so that no slip deletes another one.")


class TableDeleted(ApiModel):
    """What was removed from a table."""

    table: str
    removed: int = Field(description="Rows of the tenant that were removed.")
    left: int | None = Field(description="Rows of it that were left at the end: none; null: it is being deleted.")


class DeletionShown(ApiModel):
    """The deletion of a tenant: the proof of it, once it is finished."""

    tenant: UUID = Field(description="The id that the tenant has or had.")
    slug: str
    status: Literal["deleting", "deleted"]
    begun_at: datetime = Field(description="When it was asked for.")
    finished_at: datetime | None = Field(description="When nothing was left.")
    tables: list[TableDeleted] = Field(
        description="Once it is finished every table with rows of tenants; before, those of which rows were removed."
    )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the words of the API for a row of tenant_deletions."""
        removed, left = row["removed"], row["remaining"]
        tables = [
            TableDeleted(table=name.removeprefix("signalops."), removed=removed.get(name, 0), left=left[name] if left else None)
            for name in sorted(left or removed)
        ]
        return cls(
            tenant=row["id"],
            slug=row["slug"],
            status="deleted" if row["finished_at"] else "deleting",
            begun_at=row["begun_at"],
            finished_at=row["finished_at"],
            tables=tables,
        )
