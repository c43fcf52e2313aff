"""Who uses the console: a superuser with a cookie session."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Request

from fastapi_base.api.dependencies import cookies
from fastapi_base.api.deps import OriginDep, ResourcesDep, identifies_caller
from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import Forbidden, NotAuthenticated
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.identity import sessions
from fastapi_base.services.identity.admin import Actor
from fastapi_base.services.identity.auth import Principal


@dataclass(frozen=True, slots=True)
class Operator:
    """The person at the browser, and the CSRF token that their forms contain."""

    principal: Principal
    csrf_token: str

    @property
    def user(self) -> UserRead:
        """The account."""
        return self.principal.user

    @property
    def actor(self) -> Actor:
        """The account as the actor of a change."""
        return Actor(self.user.id)


async def _identified(request: Request, resources: Resources, token: str | None) -> Operator:
    """The holder of the cookie. Tokens and API keys in a header do not open the console."""
    value = cookies.cookie_of(request, resources)
    if not value:
        raise NotAuthenticated
    browser = await cookies.browser_of(request, resources, value, form_token=token)
    principal = await resources.auth.identify_session(browser.user_id, browser.session_id)
    return Operator(principal, browser.csrf_token)


async def _admitted(operator: Operator, resources: Resources) -> Operator:
    if not operator.user.is_superuser:
        raise Forbidden("The console is for superusers; log out, and log in with another account")
    if resources.settings.console.second_factor:
        async with resources.database.read() as connection:
            used = await sessions.methods(connection, operator.principal.session_id)
        if "mfa" not in used:
            raise Forbidden(
                "The console requires a login with a second factor or a passkey; set one up with"
                " POST /api/v1/auth/totp, and log in again"
            )
    return operator


@identifies_caller
async def _viewer(request: Request, resources: ResourcesDep) -> Operator:
    return await _identified(request, resources, None)


@identifies_caller
async def _leaver(
    request: Request, resources: ResourcesDep, csrf_token: Annotated[str, Form()] = ""
) -> Operator:
    return await _identified(request, resources, csrf_token)


# Anybody with a session, to log out: the page, and its form.
ViewerDep = Annotated[Operator, Depends(_viewer)]
LeaverDep = Annotated[Operator, Depends(_leaver)]


async def _operator(viewer: ViewerDep, resources: ResourcesDep) -> Operator:
    return await _admitted(viewer, resources)


async def _acting(leaver: LeaverDep, resources: ResourcesDep) -> Operator:
    return await _admitted(leaver, resources)


# A superuser who sees a page, and one who sends a form of it.
OperatorDep = Annotated[Operator, Depends(_operator)]
ActingDep = Annotated[Operator, Depends(_acting)]


async def _recent(operator: OperatorDep, resources: ResourcesDep, origin: OriginDep) -> Operator:
    await resources.auth.confirm_recent(operator.principal, None, origin)
    return operator


async def _acting_recent(
    operator: ActingDep, resources: ResourcesDep, origin: OriginDep
) -> Operator:
    await resources.auth.confirm_recent(operator.principal, None, origin)
    return operator


# The same, with a login within AUTH_FRESH_SECONDS: for what affects others. Raises NotFresh.
RecentDep = Annotated[Operator, Depends(_recent)]
ActingRecentDep = Annotated[Operator, Depends(_acting_recent)]
