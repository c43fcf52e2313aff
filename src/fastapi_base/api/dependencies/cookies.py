"""The session cookie: set, read and cleared, and what keeps other sites from using it."""

from urllib.parse import urlsplit

from fastapi import Request, Response

from fastapi_base.api.resources import Resources
from fastapi_base.core.errors import CrossSiteRequest
from fastapi_base.services.browsers import Browser

CSRF_HEADER = "X-CSRF-Token"
SECURE_NAME = "__Host-session"
_PLAIN_NAME = "session"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def cookie_name(resources: Resources) -> str:
    """`__Host-session`; `session` in development, where plain HTTP cannot carry the prefix.

    Browsers take a cookie with that prefix only with Secure, for this host alone and from `/`, so
    neither a sibling domain nor a network attacker can plant one (RFC 6265bis, 4.1.3.2).
    """
    return SECURE_NAME if _secure(resources) else _PLAIN_NAME


def cookie_of(request: Request, resources: Resources) -> str | None:
    """The session cookie of a request, unless it has an Authorization header, which counts alone.

    A request is never judged by both: a bad token is refused, whatever cookie came along.
    """
    if "authorization" in request.headers:
        return None
    return request.cookies.get(cookie_name(resources))


async def browser_of(request: Request, resources: Resources, value: str) -> Browser:
    """The browser session of a cookie. Raises NotAuthenticated and CrossSiteRequest.

    Unsafe methods must come from our own pages and bring the token of the session (OWASP Cross-Site
    Request Forgery Prevention Cheat Sheet: Fetch Metadata, origin check, synchronizer token).
    """
    browser = await resources.browsers.find(value)
    if request.method not in _SAFE_METHODS:
        refuse_other_sites(request)
        if not browser.is_token(request.headers.get(CSRF_HEADER, "")):
            raise CrossSiteRequest(f"{CSRF_HEADER} must hold the token of GET /api/v1/auth/csrf")
    return browser


def refuse_other_sites(request: Request) -> None:
    """Raise CrossSiteRequest unless the browser says that the request comes from our own pages."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        own = site == "same-origin"
    else:
        # Browsers leave Sec-Fetch-Site out on plain HTTP.
        given = urlsplit(origin or "")
        own = (given.scheme, given.netloc) == (
            request.url.scheme,
            request.headers.get("host", ""),
        )
    if not own:
        raise CrossSiteRequest(
            "The request must come from a page of this host, by Sec-Fetch-Site or Origin"
        )


def set_cookie(response: Response, resources: Resources, value: str) -> None:
    """Give the browser its session."""
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
    """Forget the cookie of a request, here and in the browser."""
    if value := cookie_of(request, resources):
        await resources.browsers.end(value)
        response.delete_cookie(
            cookie_name(resources),
            path="/",
            secure=_secure(resources),
            httponly=True,
            samesite="strict",
        )


def _secure(resources: Resources) -> bool:
    return resources.settings.app.environment != "development"
