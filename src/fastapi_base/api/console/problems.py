"""Shows errors of the console as pages instead of problem documents."""

import json
from typing import Any

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastapi_base.api.console.site import asked_page, login_url, page, site_of
from fastapi_base.api.errors import MEDIA_TYPE

_LOG_IN = ("not-authenticated", "login-not-recent")
# Headers that describe the replaced content.
_OF_CONTENT = ("content-type", "content-length")


class ProblemPages:
    """Replaces each problem document of the console with a page.

    Routes and middleware answer alike, so rate limits and timeouts become pages, too. A page that
    requires a login leads to the login page and back.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope["app"].state.console.own(scope["path"]):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def send_page(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    reply = _page(Request(scope), start, json.loads(body))
                    await reply(scope, receive, send)

        await self.app(scope, receive, send_page)


def _page(request: Request, start: Message, problem: dict[str, Any]) -> Response:
    site = site_of(request)
    code = str(problem["type"]).rpartition(":")[2]
    if code == "not-authenticated" and request.method == "GET":
        target = login_url(site, asked_page(request))
        return RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})
    back = asked_page(request)
    if request.method != "GET":
        back = site.origin_page(request)
    log_in = None
    if code in _LOG_IN:
        log_in = site.settings.api.path_prefix + login_url(site, back)
    shown = page(
        request,
        "problem.html",
        status=problem["status"],
        problem=problem,
        log_in=log_in,
        back=None if request.method == "GET" else site.settings.api.path_prefix + back,
    )
    headers = MutableHeaders(raw=list(start["headers"]))
    for name in _OF_CONTENT:
        del headers[name]
    shown.headers.update(headers)
    return shown


def _is_problem(message: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(MEDIA_TYPE.encode())
        for name, value in message["headers"]
    )
