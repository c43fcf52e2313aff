"""The revision of the migrations that the database has."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_REVISION = text("SELECT version_num FROM alembic_version")


async def revision(connection: AsyncConnection) -> str | None:
    """The revision of the last migration; None if none was applied."""
    found: str | None = await connection.scalar(_REVISION)
    return found
