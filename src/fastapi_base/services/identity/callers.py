"""Authenticates concurrent requests with one statement."""

from collections.abc import Sequence

from fastapi_base.core.security.tokens import Claims
from fastapi_base.db.session import Database
from fastapi_base.services.identity import users
from fastapi_base.utils.batching import Batcher

type Callers = Batcher[Claims, users.Caller | None]


def find_callers(database: Database) -> Callers:
    """Batches the database lookups of concurrent requests' callers into one statement."""

    async def ask(asked: Sequence[Claims]) -> list[users.Caller | None]:
        found = await users.in_sessions(database, asked)
        return [found.get(claims) for claims in asked]

    return Batcher(ask)
