"""The session cookie: set, read and clear it, and protect it against cross-site requests."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import CrossSiteRequest
from fastapi_base.services.identity.browsers import Browser

CSRF_HEADER = "X-CSRF-Token"
SECURE_NAME = "__Host-session"
_PLAIN_NAME = "session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_name(resources: Resources) -> str:
    """`__Host-session`; `session` in development, where plain HTTP cannot use the prefix.

    Browsers accept a cookie with this prefix only with Secure, without Domain and with path `/`, so
    neither a sibling domain nor a network attacker can plant one (RFC 6265bis, 4.1.3.2).
    """
    return SECURE_NAME if _secure(resources) else _PLAIN_NAME


def cookie_of(request: Request, resources: Resources) -> str | None:
    """The session cookie of a request without an Authorization header, else None.

    A request never uses both: an invalid token is rejected even if a valid cookie accompanies it.
    """
    return None if "authorization" in request.headers else any_cookie_of(request, resources)


def any_cookie_of(request: Request, resources: Resources) -> str | None:
    """The session cookie of a request, whatever other credentials it has: to end that session."""
    return request.cookies.get(cookie_name(resources))


async def browser_of(
    request: Request, resources: Resources, value: str, *, form_token: str | None = None
) -> Browser:
    """The browser session of a cookie. Raises NotAuthenticated and CrossSiteRequest.

    Requests with unsafe methods must come from the service's own pages and carry the session's CSRF
    token (OWASP Cross-Site Request Forgery Prevention Cheat Sheet: Fetch Metadata, origin check,
    synchronizer token): in a header, or in a field of a form, which `form_token` then is.
    """
    # A request has one cookie, and several dependencies may ask for its session.
    known: Browser | None = getattr(request.state, "browser", None)
    browser = known or await resources.browsers.find(value)
    request.state.browser = browser
    if request.method not in _SAFE_METHODS:
        refuse_other_sites(request)
        given = request.headers.get(CSRF_HEADER, "") if form_token is None else form_token
        if not browser.is_token(given):
            if form_token is not None:
                raise CrossSiteRequest("The form is outdated; open its page again")
            raise CrossSiteRequest(f"{CSRF_HEADER} must contain the token of GET /api/v1/auth/csrf")
    return browser


def refuse_other_sites(request: Request) -> None:
    """Raise CrossSiteRequest unless the browser reports a request from the service's own pages."""
    if not _from_own_page(request):
        raise CrossSiteRequest(
            "Sec-Fetch-Site or Origin must show that the request comes from a page of this host"
        )


def from_other_page(request: Request) -> bool:
    """Whether the browser reports that the request comes from a page of another host."""
    said = "sec-fetch-site" in request.headers or "origin" in request.headers
    return said and not _from_own_page(request)


def _from_own_page(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Browsers omit Sec-Fetch-Site on plain HTTP.
    try:
        given = urlsplit(request.headers.get("origin", ""))
    except ValueError:
        # No browser sends an unbalanced bracket.
        return False
    return (given.scheme, given.netloc) == (request.url.scheme, request.headers.get("host", ""))


def set_cookie(response: Response, resources: Resources, value: str) -> None:
    """Set the session cookie."""
    response.set_cookie(
        cookie_name(resources),
        value,
        max_age=resources.settings.auth.session_seconds,
        path="/",
        secure=_secure(resources),
        httponly=True,
        samesite="strict",
    )


async def clear(request: Request, response: Response, resources: Resources) -> None:
    """Delete the cookie of a request, in Redis and in the browser."""
    if value := cookie_of(request, resources):
        await resources.browsers.end(value)
        delete_cookie(response, resources)


def delete_cookie(response: Response, resources: Resources) -> None:
    """Delete the cookie in the browser."""
    response.delete_cookie(
        cookie_name(resources),
        path="/",
        secure=_secure(resources),
        httponly=True,
        samesite="strict",
    )


def _secure(resources: Resources) -> bool:
    return resources.settings.app.environment != "development"
