"""The status page of `make up` as a person sees it: in Chromium."""

import asyncio
import itertools
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ops.dev.places import free_port
from ops.dev.processes import Seen
from ops.dev.status import facts
from ops.dev.up import NAMES
from tests.chromium import CONTRAST, Browser, browser
from tests.ops.dev.helpers import Run, run


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Run]:
    with run(
        "-m",
        "ops.dev.up",
        f"--data={tmp_path / 'data'}",
        "--postgres-port=0",
        "--redis-port=0",
        "--status-port=0",
        API_PORT=str(free_port()),
        API_WORKERS="1",
        CELERY_CONCURRENCY="1",
    ) as up:
        up.expect("Ctrl-C stops everything")
        yield up


def shown(up: Run, name: str) -> str:
    """A line of the banner."""
    found = re.search(rf"^  {name} +(\S+)", up.text, re.MULTILINE)
    assert found
    return found[1]


def post(url: str, body: dict[str, str]) -> None:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        assert reply.status in (201, 202)


def names(page: Browser, selector: str) -> list[str]:
    found: list[str] = page.eval(
        f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)"
    )
    return found


def test_page_shows_running_processes_and_problems(started: Run, tmp_path: Path) -> None:
    status, api = shown(started, "status"), shown(started, "API")
    with browser() as page:
        page.open(status)
        page.until("document.title.startsWith('All is well')")
        assert names(page, ".card h3") == [name for name in NAMES if name != "migrate"]
        assert set(names(page, ".card .state")) == {"running"}
        assert names(page, "[aria-labelledby=health] tbody th") == ["API", "database", "redis"]
        assert names(page, "[aria-labelledby=health] tbody td") == ["ok", "ok", "ok"]
        assert "None since the start." in page.text()
        assert "Console" in names(page, "nav a")  # slice: console
        for link in page.eval("[...document.querySelectorAll('nav a')].map((one) => one.href)"):
            with urllib.request.urlopen(link, timeout=30) as reply:
                assert reply.status == 200, link

        # It updates without a reload.
        page.eval("window.mark = 'still here'")
        account = {"email": "ada@example.com", "password": "correct horse battery staple"}
        post(f"{api}/api/v1/auth/register", account)
        page.until("document.querySelector('[aria-labelledby=mails] a')")
        assert "ada@example.com" in page.text()
        # Its mail was a job.
        page.until("/succeeded\\s+\\d/.test(document.body.innerText)")
        asyncio.run(break_something(shown(started, "database")))
        page.until("document.querySelector('.log')")
        assert "no_such_table" in names(page, ".log li")[0]
        hostile = b"Subject: <script>document.title='taken'</script>\nTo: a\n\n<b>hello</b>\n"
        (tmp_path / "data/mails/zz.eml").write_bytes(hostile)
        page.until("document.body.innerText.includes('<script>')")
        assert page.eval("window.mark") == "still here"

        check_access(page)
        page.eval("document.querySelector('[aria-labelledby=mails] a').click()")
        page.until("location.pathname.startsWith('/mails/') && document.querySelector('pre')")
        # With its stylesheet.
        page.until("document.readyState === 'complete'")
        assert "<b>hello</b>" in page.text()
        check_access(page)
        page.open(status)

        # Other host names that resolve to this machine are refused: mails hold tokens.
        foreign = urllib.request.Request(status, headers={"Host": "evil.example.com"})
        with pytest.raises(urllib.error.HTTPError, match="421"):
            urllib.request.urlopen(foreign, timeout=10)
        assert page.said == []

        started.send(signal.SIGINT)
        assert started.finish() == 0
        page.until("document.querySelector('.verdict.bad')")
        assert "make up has ended" in page.text()


def check_access(page: Browser) -> None:
    """Names, order of headings, contrast in both colour schemes, and no horizontal scrolling."""
    assert page.eval("document.documentElement.lang") == "en"
    headings = "[...document.querySelectorAll('h1,h2,h3')].map((one) => one.tagName)"
    levels = [int(tag[1]) for tag in page.eval(headings)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    spoken = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    }
    assert {"banner", "main", "navigation"} <= {role for role, _ in spoken}
    named = ("link", "heading", "navigation", "region")
    assert not [role for role, name in spoken if role in named and not name]
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.call("Emulation.setEmulatedMedia", features=features)
        assert page.eval("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")
        assert page.eval(CONTRAST) == [], scheme
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.call("Emulation.setDeviceMetricsOverride", **size)
    assert page.eval("document.documentElement.scrollWidth") <= 360
    page.call("Emulation.clearDeviceMetricsOverride")


async def break_something(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.execute("SELECT 1 FROM no_such_table")
    finally:
        await connection.close()


def test_ended_and_unresponsive_processes_are_named(tmp_path: Path) -> None:
    place = facts.Place(
        "127.0.0.1", free_port(), f"postgresql://x:y@127.0.0.1:{free_port()}/z", tmp_path, (), ()
    )
    seen = [Seen("api", None, 0.0), Seen("worker", 2**22 + 1, 0.0)]
    status = facts.look(place, seen, [])
    assert not status.well
    assert status.verdict == "Look at: api, worker, API"
    assert [process.state for process in status.processes] == ["ended", "ended"]
    assert status.jobs == []


FORKS = """
import os, sys
shared = bytearray(b"x" * 64_000_000)
if os.fork() and os.fork():
    print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory is shared")
def test_memory_that_forks_share_counts_once(tmp_path: Path) -> None:
    place = facts.Place(
        "127.0.0.1", free_port(), f"postgresql://x:y@127.0.0.1:{free_port()}/z", tmp_path, (), ()
    )
    command = [sys.executable, "-c", FORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        (api,) = facts.look(place, [Seen("api", process.pid, 0.0)], []).processes
        process.communicate()
    assert 64 <= int(api.memory.removesuffix(" MB")) < 128
