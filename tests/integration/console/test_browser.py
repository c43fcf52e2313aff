"""The console in a real browser: keyboard, both colour schemes, small screens, strict policy."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fastapi_base.core.security.passwords import hash_password
from ops.dev.places import free_port
from tests.chromium import CONTRAST, Browser, browser
from tests.integration.accounts import PASSWORD
from tests.integration.processes import GUNICORN, running, serves

HOSTILE = "<script>document.title='taken'</script>\u202egpj.Jürgen"
PAGES = ("accounts", "jobs", "schedules", "mails", "flags", "audit", "statistics", "system")
ROWS = """
    INSERT INTO users (id, email, password_hash, is_superuser, display_name)
    VALUES (gen_random_uuid(), 'root@example.com', $1, true, NULL),
        (gen_random_uuid(), 'ada@example.com', 'x', false, $2)
"""
JOB = """
    INSERT INTO jobs (id, kind, version, payload, queue, priority, state, max_attempts, attempt,
        error, finished_at)
    VALUES (gen_random_uuid(), 'word-count', 1, '{"text": "secret"}', 'fastapi-base', 3, 'failed',
        8, 8, $1, now())
"""
DAYS = """
    INSERT INTO day_statistics (day, figures, computed_at)
    SELECT current_date - n, jsonb_build_object('accounts_active', n * n % 37, 'jobs_failed', n % 3,
        'sessions_begun', 900 - n * 20), now()
    FROM generate_series(1, 30) AS n
"""


async def fill(url: str) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute(ROWS, hash_password(PASSWORD, rounds=4), HOSTILE)
        await connection.execute(JOB, f"ValueError: {HOSTILE}")
        await connection.execute(DAYS)
    finally:
        await connection.close()


@pytest.fixture
def console(fresh_database_url: str, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """The address of a console in development, with an account to act on and a failed job."""
    asyncio.run(fill(fresh_database_url))
    port = free_port()
    with running(
        GUNICORN,
        tmp_path / "log",
        API_PORT=str(port),
        API_WORKERS="1",
        CONSOLE_PATH="/console",
        DATABASE_URL=fresh_database_url,
        REDIS_URL=redis_url,
    ):
        asyncio.run(serves(port))
        yield f"http://127.0.0.1:{port}/console"


# The first link or button with a text.
FIND = "[...document.querySelectorAll({})].find((one) => one.innerText === {})"
# The number of fields without a label.
UNLABELLED = """
[...document.querySelectorAll("input:not([type=hidden]), select, textarea")].filter(
  (one) => !one.labels.length
).length
"""


def press(page: Browser, text: str, *, within: str = "main") -> None:
    """Activate the first link or button with this text by keyboard, and await the next page."""
    found = FIND.format(json.dumps(f"{within} a, {within} button"), json.dumps(text))
    page.eval(f"window.isBefore = true; {found}.focus()")
    key = {"key": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    page.call("Input.dispatchKeyEvent", type="keyDown", **key)
    page.call("Input.dispatchKeyEvent", type="keyUp", key="Enter", windowsVirtualKeyCode=13)
    page.until("!window.isBefore && document.readyState === 'complete'")


def type_in(page: Browser, **fields: str) -> None:
    """Enter text into fields."""
    for name, value in fields.items():
        page.eval(f"document.querySelector('main [name={name}]').focus()")
        page.call("Input.insertText", text=value)


def log_in(page: Browser, console: str) -> None:
    """Log in as the superuser."""
    page.open(console)
    type_in(page, username="root@example.com", password=PASSWORD)
    press(page, "Log in")


def test_operator_works_by_keyboard(console: str) -> None:
    with browser() as page:
        log_in(page, f"{console}/accounts")
        assert page.eval("location.pathname") == "/console/accounts"
        # A name is text, whatever it contains, and does not turn its surroundings around.
        assert HOSTILE in page.text()
        assert page.eval("document.title").startswith("Accounts")
        assert page.eval("document.querySelectorAll('time[title$=UTC]').length") >= 2

        type_in(page, email_prefix="ada")
        press(page, "Search")
        assert "root@example.com" not in page.eval("document.querySelector('main').innerText")
        press(page, "ada@example.com")
        press(page, "Deactivate")
        press(page, "Deactivate")
        assert "The account is deactivated" in page.text()

        page.open(f"{console}/jobs?status=failed")
        press(page, "word-count", within="[aria-labelledby=list]")
        assert f"ValueError: {HOSTILE}" in page.text()
        assert "secret" not in page.text()
        press(page, "Retry")
        assert "The job runs again" in page.text()

        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            page.call("Emulation.setEmulatedMedia", features=features)
            for name in PAGES:
                page.open(f"{console}/{name}")
                assert page.eval(CONTRAST) == [], (scheme, name)
        size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        for name in PAGES:
            page.open(f"{console}/{name}")
            assert page.eval("document.documentElement.scrollWidth") <= 360, name
            assert page.eval(UNLABELLED) == 0, name
        # No error, and no violation of the policy.
        assert page.said == []
