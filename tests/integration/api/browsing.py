"""A browser's tab with a cookie session."""

from http.cookies import SimpleCookie

import httpx2
import pytest

from tests.integration.accounts import PASSWORD, register

ADA = "ada@example.com"
LOGIN = "/api/v1/auth/login?mode=cookie"
ME = "/api/v1/users/me"
OURS = {"Sec-Fetch-Site": "same-origin"}


class Tab:
    """A page of the application in a browser: it has the cookie and the CSRF token."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.cookie = ""
        self.token = ""
        self.reply: httpx2.Response

    async def log_in(self, email: str = ADA, **headers: str) -> httpx2.Response:
        form = {"username": email, "password": PASSWORD}
        self.client.cookies.clear()
        self.reply = await self.client.post(LOGIN, data=form, headers=OURS | self.own() | headers)
        if self.reply.status_code == 200:
            found = SimpleCookie(self.reply.headers["set-cookie"])
            self.cookie = next(iter(found.values())).value
            self.token = self.reply.json()["csrf_token"]
        self.client.cookies.clear()
        return self.reply

    def own(self) -> dict[str, str]:
        return {"Cookie": f"__Host-session={self.cookie}"} if self.cookie else {}

    async def send(self, method: str, path: str, **headers: str) -> httpx2.Response:
        reply = await self.client.request(method, path, headers=self.own() | headers)
        self.client.cookies.clear()
        return reply

    async def change(self, **headers: str) -> int:
        """A state-changing request: end a session that does not exist."""
        path = "/api/v1/sessions/00000000-0000-0000-0000-000000000000"
        return (await self.send("DELETE", path, **headers)).status_code

    async def works(self) -> bool:
        return (await self.send("GET", ME)).status_code == 200


@pytest.fixture
async def tab(client: httpx2.AsyncClient) -> Tab:
    """A tab of Ada, who has an account and is not logged in."""
    await register(client, ADA)
    return Tab(client)
