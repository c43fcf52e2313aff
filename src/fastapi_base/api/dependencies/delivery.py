"""How the caller receives the outcome of a login."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from fastapi_base.api.dependencies.caching import HOLDS_SECRET
from fastapi_base.api.dependencies.cookies import (
    CSRF_HEADER,
    any_cookie_of,
    delete_cookie,
    from_other_page,
    refuse_other_sites,
    set_cookie,
)
from fastapi_base.api.deps import OriginDep, ResourcesDep
from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.security.caller import Origin
from fastapi_base.schemas.identity.auth import CookieRead, LoginMode, LoginResult
from fastapi_base.services.identity.sessions import Grant


class Delivery:
    """Delivers the outcome of a login: as tokens, or as a cookie for a browser."""

    def __init__(
        self,
        request: Request,
        response: Response,
        resources: Resources,
        origin: Origin,
        *,
        cookie: bool,
    ) -> None:
        self._request = request
        self._response = response
        self._resources = resources
        self._origin = origin
        self._cookie = cookie

    @property
    def refreshable(self) -> bool:
        """Whether the session needs a refresh token."""
        return not self._cookie

    async def hand_over(self, grant: Grant) -> LoginResult:
        """The response to a successful login."""
        await self._end_previous()
        if not self._cookie:
            return self._resources.auth.reply(grant)
        cookie = await self._resources.browsers.begin(grant.user_id, grant.session_id)
        set_cookie(self._response, self._resources, cookie.value)
        return CookieRead(csrf_token=cookie.csrf_token)

    async def _end_previous(self) -> None:
        """End the session of the request's cookie: a browser has one session, in any login mode.

        This ignores an Authorization header. Pages of other sites cannot log a visitor out by
        logging in: `mode=cookie` is refused for them, and they cannot read tokens.
        """
        value = any_cookie_of(self._request, self._resources)
        if value and not from_other_page(self._request):
            if not self._cookie:
                delete_cookie(self._response, self._resources)
            try:
                previous = await self._resources.browsers.find(value)
            except NotAuthenticated:
                return
            await self._resources.browsers.end(value)
            await self._resources.auth.end_session(
                previous.user_id, previous.session_id, self._origin, reason="replaced"
            )


async def _delivery(
    request: Request,
    response: Response,
    resources: ResourcesDep,
    origin: OriginDep,
    _mark: Annotated[None, HOLDS_SECRET],
    mode: Annotated[
        LoginMode,
        Query(
            description="`cookie` is for browsers: the session is stored in an HttpOnly cookie, and"
            f" unsafe methods require `{CSRF_HEADER}`."
        ),
    ] = "tokens",
) -> Delivery:
    if mode == "cookie":
        # Otherwise another site could log a visitor in to the attacker's account (login CSRF).
        refuse_other_sites(request)
    return Delivery(request, response, resources, origin, cookie=mode == "cookie")


DeliveryDep = Annotated[Delivery, Depends(_delivery)]
