"""The caller's sessions."""

import uuid

from fastapi import APIRouter

from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import NotAuthenticated, NotFound, Overloaded, Unavailable
from fastapi_base.schemas.identity.session import SessionRead
from fastapi_base.services.identity import sessions

router = APIRouter(prefix="/sessions", tags=["sessions"])


@router.get(
    "",
    summary="List my sessions",
    description="Active sessions, newest first; at most 100.",
    response_description="The sessions",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def list_sessions(principal: CurrentPrincipal, resources: ResourcesDep) -> list[SessionRead]:
    """The caller's sessions."""
    async with resources.database.read() as connection:
        return await sessions.active(connection, principal.user.id, principal.session_id)


@router.delete(
    "",
    status_code=204,
    summary="Log out everywhere",
    description="Ends all sessions of the account, including this one, from the next request on.",
    response_description="Logged out",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def delete_sessions(
    principal: CurrentPrincipal, session: SessionDep, origin: OriginDep
) -> None:
    """End all sessions."""
    me = principal.user.id
    await sessions.revoke_all(session, me, origin, actor=me, reason="logout-everywhere")


@router.delete(
    "/{session_id}",
    status_code=204,
    summary="End a session",
    description="Its tokens are rejected from the next request on.",
    response_description="Ended",
    responses=problems(NotAuthenticated, NotFound, Overloaded, Unavailable),
)
async def delete_session(
    session_id: uuid.UUID, principal: CurrentPrincipal, session: SessionDep, origin: OriginDep
) -> None:
    """End one of the caller's sessions."""
    await sessions.revoke(session, principal.user.id, session_id, origin, reason="revoked-by-owner")
