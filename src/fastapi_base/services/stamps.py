"""Stamps of cached data, as the database knows them; see utils/cache.

Triggers on the tables change a scope's stamp in the transaction of each change, so that neither a
crashing process, nor code of another release, nor a person with psql can forget to.
"""

import uuid
from typing import Any

from sqlalchemy import BigInteger, ScalarSelect, Uuid, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound
from fastapi_base.models.cache_stamp import CacheStamp
from fastapi_base.models.identity.user import User
from fastapi_base.utils.cache import Stamp
from fastapi_base.utils.statements import Statement, StatementRunner

_combined = func.bit_xor(col(CacheStamp.stamp), type_=BigInteger)


def stamp_of(scope: Mapped[uuid.UUID]) -> ScalarSelect[Any]:
    """The stamp as a column of another statement; NULL before any change."""
    return select(_combined).where(col(CacheStamp.scope) == scope).scalar_subquery()


_OF_ACCOUNT = Statement(
    select(stamp_of(col(User.id)).label("stamp")).where(col(User.id) == bindparam("account"))
)
_SHARED = Statement(
    select(_combined.label("stamp")).where(
        col(CacheStamp.scope) == any_(bindparam("scopes", type_=ARRAY(Uuid)))
    )
)


async def of_account(database: StatementRunner, account: uuid.UUID) -> Stamp:
    """The stamp of an account's data. The caller's own comes with the caller. Raises NotFound.

    The stamps are removed with the account, so that a removed one is not mistaken for an unchanged
    one.
    """
    for row in await database.run(_OF_ACCOUNT, {"account": account}):
        found: Stamp = row["stamp"]
        return found
    raise NotFound("The account does not exist")


async def shared(database: StatementRunner, *scopes: uuid.UUID) -> Stamp:
    """One stamp for scopes without an owner; those are never removed."""
    (row,) = await database.run(_SHARED, {"scopes": [*scopes]})
    found: Stamp = row["stamp"]
    return found


async def change(session: AsyncSession, scope: uuid.UUID) -> None:
    """Change a scope's stamp in this transaction, where no trigger does."""
    await session.scalar(select(func.cache_changed(scope)))
