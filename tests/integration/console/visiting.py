"""Uses the console as a browser without scripts does: it follows links and sends forms."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import urljoin

import httpx2

from tests.integration.accounts import PASSWORD

ADMIN = "root@example.com"
OURS = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Form:
    """A form of a page, with the values that its fields have."""

    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    text: str = ""


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.open: Form | None = None
        self.links: list[tuple[str, str]] = []
        self.in_link = False
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append((given["href"], ""))
            self.in_link = True
        elif tag == "form":
            self.open = Form(given.get("method", "get"), given.get("action", ""))
            self.found.append(self.open)
        elif self.open and tag in ("input", "textarea") and "name" in given:
            self.open.fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.open = None
        elif tag == "a":
            self.in_link = False

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open:
            self.open.text += data
        if self.in_link:
            target, text = self.links[-1]
            self.links[-1] = target, text + data


class Visitor:
    """A browser with one page."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.cookie = ""
        self.headers: dict[str, str] = {}
        self.reply: httpx2.Response
        self.path = ""

    async def open(self, path: str) -> httpx2.Response:
        """Go to a page of the console, and follow redirects."""
        return await self._go("GET", path if path.startswith("/console") else f"/console{path}")

    async def send(self, button: str, **fields: str) -> httpx2.Response:
        """Fill and send the form of this page whose text contains the one of the button."""
        (form,) = (one for one in self.forms() if button in one.text)
        assert form.method == "post"
        target = urljoin(self.path, form.action) if form.action else self.path
        return await self._go("POST", target, form.fields | fields)

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        """Send these fields, with the CSRF token of the current page."""
        token = next(one.fields["csrf_token"] for one in self.forms() if "csrf_token" in one.fields)
        return await self._go("POST", f"/console{path}", {"csrf_token": token} | fields)

    async def log_in(self, email: str = ADMIN) -> httpx2.Response:
        """Log in with the password."""
        await self.open("/login")
        return await self.send("Password", username=email, password=PASSWORD)

    def forms(self) -> list[Form]:
        """The forms of the page."""
        return self._parsed().found

    def link(self, text: str) -> str:
        """The target of the only link of the page with this text."""
        (found,) = {target for target, shown in self._parsed().links if shown.strip() == text}
        return urljoin(self.path, found)

    async def follow(self, text: str) -> httpx2.Response:
        """Follow the only link of the page with this text."""
        return await self._go("GET", self.link(text))

    @property
    def text(self) -> str:
        """The text of the page, without markup."""
        return " ".join(" ".join(self._parsed().words).split())

    def _parsed(self) -> _Forms:
        parser = _Forms()
        parser.feed(self.reply.text)
        return parser

    async def _go(
        self, method: str, path: str, fields: dict[str, str] | None = None
    ) -> httpx2.Response:
        headers = dict(self.headers)
        if self.cookie:
            headers["Cookie"] = f"__Host-session={self.cookie}"
        if method == "POST":
            headers = {**OURS, "Referer": f"http://test{self.path}", **headers}
        self.reply = await self.client.request(method, path, data=fields, headers=headers)
        self.client.cookies.clear()
        if found := SimpleCookie(self.reply.headers.get("set-cookie", "")):
            self.cookie = next(iter(found.values())).value
        self.path = path
        if self.reply.status_code == 303:
            return await self._go("GET", self.reply.headers["location"])
        return self.reply
