"""How the outcome of a login reaches the caller."""

from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from fastapi_base.api.caching import HOLDS_SECRET
from fastapi_base.api.cookies import CSRF_HEADER, cookie_of, refuse_other_sites, set_cookie
from fastapi_base.api.deps import OriginDep, ResourcesDep
from fastapi_base.api.resources import Resources
from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.schemas.auth import CookieRead, TokenRead
from fastapi_base.services.sessions import Grant


class Delivery:
    """How the outcome of a login reaches the caller: as tokens, or as a cookie for a browser."""

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

    async def hand_over(self, grant: Grant) -> TokenRead | CookieRead:
        """The reply to a login that succeeded."""
        if not self._cookie:
            return self._resources.auth.reply(grant)
        await self._end_previous()
        cookie = await self._resources.browsers.begin(grant.user_id, grant.session_id)
        set_cookie(self._response, self._resources, cookie.value)
        return CookieRead(csrf_token=cookie.csrf_token)

    async def _end_previous(self) -> None:
        """A browser has one session: what its cookie led to before ends."""
        if value := cookie_of(self._request, self._resources):
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
        Literal["tokens", "cookie"],
        Query(
            description="`cookie` is for browsers: the session goes into a cookie that scripts"
            f" cannot read, and requests that change something bring `{CSRF_HEADER}`."
        ),
    ] = "tokens",
) -> Delivery:
    if mode == "cookie":
        # Else another site could log a visitor in to an account of its own (login CSRF).
        refuse_other_sites(request)
    return Delivery(request, response, resources, origin, cookie=mode == "cookie")


DeliveryDep = Annotated[Delivery, Depends(_delivery)]
