"""Stamps, which show whether a cache entry is still valid."""

import uuid

from sqlalchemy import BigInteger, Identity
from sqlmodel import Field, SQLModel

from fastapi_base.models import base


class CacheStamp(SQLModel, table=True):
    """A random number that changes with each committed change of the data in a scope.

    Triggers write it in the transaction of the change. A scope is the id of an account, for
    everything that it owns, or any other chosen id. Concurrent transactions may add several rows
    for a scope; all of them count. `scope` is not a foreign key; migration 0025 explains why.
    """

    __tablename__ = "cache_stamps"
    metadata = base.metadata

    id: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger,
        sa_column_args=[Identity(always=True)],
    )
    scope: uuid.UUID = Field(index=True)
    stamp: int = Field(sa_type=BigInteger)
