"""Who may open the console, and how its pages are protected."""

import re
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import func, update
from sqlmodel import col

from fastapi_base.api.console import operators
from fastapi_base.api.deps import needs_caller
from fastapi_base.models import LoginSession
from tests.integration.accounts import PASSWORD, bearer, log_in, new_user
from tests.integration.console.visiting import ADMIN, Visitor
from tests.integration.databases import RolledBackDatabase

pytestmark = pytest.mark.anyio
PAGES = ("/accounts", "/jobs", "/schedules", "/mails", "/flags", "/audit", "/statistics", "/system")
PUBLIC = {
    "GET /console/static/{name}",
    "GET /console/login",
    "POST /console/login",
    "POST /console/login/second-factor",
    "POST /console/login/passkey/begin",
    "POST /console/login/passkey",
}
# Also for accounts that are not superusers.
ANYBODY = {"GET /console/logout", "POST /console/logout"}


def routes(app: FastAPI) -> dict[str, APIRoute]:
    return {
        f"{method} {context.path}": context.original_route
        for context in iter_route_contexts(app.routes)
        if (context.path or "").startswith("/console")
        and isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }


async def test_every_page_is_for_superusers_or_is_listed(app: FastAPI) -> None:
    found = routes(app)
    calls = (operators._operator, operators._acting)

    def has_rule(dependant: object) -> bool:
        return getattr(dependant, "call", None) in calls or any(
            has_rule(inner)
            for inner in dependant.dependencies  # type: ignore[attr-defined]
        )

    open_ = {name for name, route in found.items() if not has_rule(route.dependant)}
    assert open_ == PUBLIC | ANYBODY
    assert all(needs_caller(found[name].dependant) for name in found.keys() - PUBLIC)
    # No change of state by GET: the session of a form is required for each change.
    methods = {name.split()[0] for name in found}
    assert methods == {"GET", "POST"}
    assert not [path for path in app.openapi()["paths"] if "console" in path]


async def test_pages_are_for_superusers(operator: Visitor) -> None:
    for page in PAGES:
        reply = await operator.open(page)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-security-policy"] == (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self';"
            " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert reply.headers["cache-control"] == "no-store"
        assert "content-encoding" not in reply.headers
        assert not re.search(r"<style|style=| on[a-z]+=|javascript:|<script>", reply.text), page
        # No request to another host.
        assert not re.search(r'(?:src|href|action)="(?!/console|\?|#)', reply.text), page
        head = await operator.client.head(
            f"/console{page}", headers={"Cookie": f"__Host-session={operator.cookie}"}
        )
        assert (head.status_code, head.content) == (200, b"")

        stranger = Visitor(operator.client)
        await stranger.open(page)
        assert stranger.path == f"/console/login?next=/console{page}"
        assert stranger.reply.status_code == 200


async def test_login_leads_back_to_the_page_that_was_asked_for(operator: Visitor) -> None:
    visitor = Visitor(operator.client)
    await visitor.open("/jobs?status=failed&kind=mail")
    await visitor.send("Password", username=ADMIN, password=PASSWORD)
    assert visitor.path == "/console/jobs?status=failed&kind=mail"
    for elsewhere in ("https://evil.example.com/", "//evil.example.com", "/api/v1", "/console\n/x"):
        await visitor.open("/login")
        await visitor.send(
            "Password",
            username=ADMIN,
            password=PASSWORD,
            next_page=elsewhere,
        )
        assert visitor.path == "/console/accounts", elsewhere


async def test_other_accounts_and_other_credentials_are_refused(
    operator: Visitor, client: httpx2.AsyncClient
) -> None:
    await new_user(client, "eve@example.com")
    eve = Visitor(client)
    await eve.log_in("eve@example.com")
    assert eve.reply.status_code == 403
    assert "The console is for superusers" in eve.text
    # Eve can leave.
    await eve.open("/logout")
    await eve.send("Log out")
    assert eve.path == "/console/login"
    await eve.open("/logout")
    assert eve.path == "/console/login?next=/console/logout"
    # A superuser's token opens the API only.
    token = bearer(await log_in(client, ADMIN))
    reply = await client.get("/console/accounts", headers=token)
    assert (reply.status_code, reply.headers["location"]) == (
        303,
        "/console/login?next=/console/accounts",
    )
    both = token | {"Cookie": f"__Host-session={operator.cookie}"}
    assert (await client.get("/console/accounts", headers=both)).status_code == 303


async def test_wrong_password_is_reported_in_the_form(operator: Visitor) -> None:
    visitor = Visitor(operator.client)
    await visitor.open("/login?next=/console/flags")
    reply = await visitor.send("Password", username=ADMIN, password="wrong")
    assert reply.status_code == 401
    assert "The e-mail address or password is incorrect" in visitor.text
    # Text that cannot be stored does not match.
    reply = await visitor.send("Password", username="a\0", password="\0")
    assert reply.status_code == 401
    reply = await visitor.send("Password", username=ADMIN, password=PASSWORD)
    assert visitor.path == "/console/flags"


async def test_forms_of_other_sites_are_refused(operator: Visitor) -> None:
    await operator.open("/flags/read-only")
    (token,) = {one.fields["csrf_token"] for one in operator.forms()}
    for site, sent in [
        ("cross-site", token),
        ("same-site", token),
        ("none", token),
        ("same-origin", "x" * len(token)),
        ("same-origin", ""),
    ]:
        await operator.open("/flags/read-only")
        operator.headers = {"Sec-Fetch-Site": site}
        reply = await operator.post("/flags/read-only", value="true", csrf_token=sent)
        assert reply.status_code == 403, (site, sent)
        assert "text/html" in reply.headers["content-type"]
        operator.headers = {}
    await operator.open("/flags")
    assert "none" in operator.text
    # Nor can they log a visitor in to another account.
    cross = {"Sec-Fetch-Site": "cross-site"}
    form = {"username": ADMIN, "password": PASSWORD}
    for path in ("/login", "/login/second-factor", "/login/passkey", "/login/passkey/begin"):
        reply = await operator.client.post(f"/console{path}", data=form, headers=cross)
        assert reply.status_code == 403, path


async def test_what_affects_others_requires_a_recent_login(
    operator: Visitor, database: RolledBackDatabase
) -> None:
    await operator.open("/schedules")
    async with database.transaction() as session:
        long_ago = func.now() - timedelta(days=1)
        await session.exec(update(LoginSession).values({col(LoginSession.created_at): long_ago}))
    for path in ("/schedules/statistics/pause", "/flags/read-only", "/flags/read-only/reset"):
        await operator.open("/schedules")
        reply = await operator.post(path, value="true")
        assert reply.status_code == 403, path
        assert "Recent authentication is required" in operator.text
        assert operator.link("Log in") == "/console/login?next=/console/schedules"
    await operator.open("/accounts")
    await operator.follow(ADMIN)
    profile = operator.path
    for action in ("deactivate", "end-sessions", "reset-password"):
        assert (await operator.open(f"{profile}/{action}")).status_code == 403, action
        await operator.open(profile)
        reply = await operator.post(f"{profile.removeprefix('/console')}/{action}")
        assert reply.status_code == 403, action
    await operator.open("/jobs/retry-failed?kind=mail")
    await operator.follow("Log in")
    await operator.send("Password", username=ADMIN, password=PASSWORD)
    assert operator.path == "/console/jobs/retry-failed?kind=mail"
    assert operator.reply.status_code == 200


async def test_errors_are_pages(operator: Visitor, client: httpx2.AsyncClient) -> None:
    for path, status in [
        ("/nowhere", 404),
        ("/accounts/00000000-0000-0000-0000-000000000000", 404),
        ("/jobs/00000000-0000-0000-0000-000000000000", 404),
        ("/jobs?cursor=x", 422),
        ("/jobs?status=lost", 422),
        ("/accounts?email_prefix=%C3%BC", 422),
        ("/accounts?created_from=yesterday", 422),
        ("/flags/none", 404),
        ("/static/nothing.js", 404),
    ]:
        reply = await operator.open(path)
        assert reply.status_code == status, path
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.headers["x-request-id"] in operator.text
    large = await client.post(
        "/console/logout",
        content=b"x" * 2_000_000,
        headers={"Cookie": f"__Host-session={operator.cookie}"},
    )
    assert large.status_code == 413
    assert large.headers["content-type"] == "text/html; charset=utf-8"
    # Outside the console they stay problem documents.
    reply = await client.get("/consoles")
    assert reply.headers["content-type"] == "application/problem+json"


async def test_an_ended_session_leads_to_the_login(operator: Visitor) -> None:
    await operator.open("/flags/read-only")
    tab = Visitor(operator.client)
    tab.cookie = operator.cookie
    await tab.open("/accounts")
    await tab.send("Log out")
    reply = await operator.send("Override in all processes", value="true")
    assert reply.status_code == 401
    assert operator.link("Log in") == "/console/login?next=/console/flags/read-only"


async def test_assets_are_revalidated(operator: Visitor, client: httpx2.AsyncClient) -> None:
    await operator.open("/accounts")
    assets = re.findall(r'"(/console/static/[^"]+)"', operator.reply.text)
    assert len(assets) == 3
    for place in assets:
        reply = await client.get(place)
        assert reply.status_code == 200
        again = await client.get(place, headers={"If-None-Match": reply.headers["etag"]})
        assert again.status_code == 304
