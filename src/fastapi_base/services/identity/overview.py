"""An account with what its owner has set up."""

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col

from fastapi_base.core.errors import NotFound
from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.external_identity import ExternalIdentity  # slice: oidc
from fastapi_base.models.identity.passkey import Passkey  # slice: passkeys
from fastapi_base.models.identity.second_factor import RecoveryCode, TotpFactor
from fastapi_base.models.identity.session import LoginSession
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.admin import AccountOverview
from fastapi_base.services.identity import api_keys, sessions, users


def _of_account(
    statement: Select[Any], owner: Any, *where: ColumnElement[bool]
) -> ScalarSelect[Any]:
    return statement.where(col(owner) == col(User.id), *where).scalar_subquery()


def _count(owner: Any, *where: ColumnElement[bool]) -> ScalarSelect[Any]:
    return _of_account(select(func.count(col(owner))), owner, *where)


_PROVIDER = col(ExternalIdentity.provider)  # slice: oidc
_STATEMENT = users.READ.add_columns(
    col(User.deactivated_at),
    col(User.delete_after),
    _of_account(select(col(TotpFactor.confirmed_at)), TotpFactor.user_id).label(
        "second_factor_since"
    ),
    _count(RecoveryCode.user_id, col(RecoveryCode.used_at).is_(None)).label("recovery_codes"),
    _count(LoginSession.user_id, *sessions.live()).label("sessions"),
    _count(ApiKey.user_id, *api_keys.usable()).label("api_keys"),
    _count(Passkey.user_id).label("passkeys"),  # slice: passkeys
    # begin slice: oidc
    func.array(_of_account(select(_PROVIDER).order_by(_PROVIDER), ExternalIdentity.user_id)).label(
        "providers"
    ),
    # end slice: oidc
)


async def emails(connection: AsyncConnection, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The addresses of those accounts that exist."""
    statement = select(col(User.id), col(User.email)).where(col(User.id).in_(set(ids)))
    return {row.id: row.email for row in await connection.execute(statement)}


async def of(connection: AsyncConnection, user_id: uuid.UUID) -> AccountOverview:
    """The account, its sessions and its authentication methods. Raises NotFound."""
    row = (await connection.execute(_STATEMENT.where(col(User.id) == user_id))).first()
    if row is None:
        raise NotFound("The account does not exist")
    return AccountOverview.model_validate(row)
