"""Where the console is served, and how its pages are rendered."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from fastapi_base.core.config import Settings
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.utils.pagination import Page

ASSETS = {
    "style.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# What a page says after a redirect from the action with this name.
_DONE = {
    "deactivate": "The account is deactivated, and its sessions and API keys have ended.",
    "activate": "The account is active again. Ended sessions and API keys are not restored.",
    "end-sessions": "All sessions of the account have ended.",
    "reset-password": "A link to set a new password is on its way to the owner.",
    "retry": "The job runs again.",
    "cancel": "The job is cancelled. A running job stops within about a second.",
    "retry-failed": "The failed jobs run again.",
    "pause": "The schedule is paused.",
    "resume": "The schedule is active from now on. Missed runs are skipped.",
    "override": "The flag is overridden in all processes.",
    "reset": "The flag has its default in all processes.",
}


@dataclass(frozen=True)
class Site:
    """The console of one application.

    `path` is the one that routes have, `base` the one that browsers use: with the prefix under
    which a proxy serves the application.
    """

    settings: Settings
    schedules: Sequence[Schedule[Any]] = field(repr=False)

    @property
    def path(self) -> str:
        """The path of all routes of the console."""
        return self.settings.console.path

    @property
    def base(self) -> str:
        """The path of all links to the console."""
        return self.settings.api.path_prefix + self.path

    def own(self, path: str) -> bool:
        """Whether a request for this path is one for the console."""
        ours = self.path
        return path.startswith(ours) and path[len(ours) :][:1] in ("", "/")

    def target(self, given: str) -> str:
        """The page to show after a login: the given one if it is a page of the console."""
        return given if self.own(given) and given.isprintable() else self.path

    def origin_page(self, request: Request) -> str:
        """The page of the console from which this request comes, for a link back to it."""
        try:
            came_from = urlsplit(request.headers.get("referer", ""))
        except ValueError:
            return self.path
        path = came_from.path.removeprefix(self.settings.api.path_prefix)
        return self.target(f"{path}?{came_from.query}" if came_from.query else path)


def site_of(request: Request) -> Site:
    """The console that serves this request."""
    found = request.app.state.console
    assert isinstance(found, Site)
    return found


def asked_page(request: Request) -> str:
    """The path and query of this request."""
    path, query = str(request.scope["path"]), request.url.query
    return f"{path}?{query}" if query else path


def page(
    request: Request, template: str, *, status: int = 200, operator: Any = None, **values: Any
) -> HTMLResponse:
    """Render a page. `operator` is the person who sees it, if that is known."""
    site = site_of(request)
    given = {
        "service": request.app.title,
        "base": site.base,
        "here": request.scope["path"].removeprefix(site.path),
        "query": request.query_params,
        "done": _DONE.get(request.query_params.get("done", "")),
        "operator": operator,
        "now": datetime.now(UTC),
        **values,
    }
    text = _templates().get_template(template).render(given)
    # Set here, so that the compression middleware knows of the CSRF token in the page.
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def redirect(request: Request, place: str, *, done: str | None = None) -> RedirectResponse:
    """Show another page of the console after a change (303)."""
    target = f"{site_of(request).path}{place}" + (f"?{urlencode({'done': done})}" if done else "")
    return RedirectResponse(target, 303, headers={"Cache-Control": "no-store"})


def login_url(site: Site, path: str) -> str:
    """The login page that leads to this page afterwards. Without the prefix of the proxy."""
    return f"{site.path}/login?next={quote(path)}"


def neighbours(request: Request, found: Page[Any]) -> dict[str, str]:
    """The queries of the first, previous and next page, without those that do not exist."""
    asked = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if value and name not in ("cursor", "done")
    ]
    links = {
        name: f"?{urlencode([*asked, ('cursor', cursor)])}"
        for name, cursor in (("previous", found.previous), ("next", found.next))
        if cursor
    }
    if "previous" in links:
        links["first"] = f"?{urlencode(asked)}"
    return links


@cache
def asset(name: str) -> tuple[bytes, str]:
    """A file of the console, and a digest of its content. Raises KeyError."""
    if name not in ASSETS:
        raise KeyError(name)
    content = (files(__package__) / "static" / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


@cache
def _templates() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["json"] = _json
    made.globals["asset"] = lambda name: f"{name}?{asset(name)[1]}"
    return made


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
