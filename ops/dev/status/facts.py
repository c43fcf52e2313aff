"""The data of the status page, collected on each request."""

import asyncio
import email
import email.policy
import http.client
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import asyncpg
import psutil

from ops.dev.processes import Seen
from ops.dev.terminal import Trouble

MAILS = 8
_PATIENCE = 2.0


@dataclass(frozen=True)
class Place:
    """Sources of the page's data. ``mails`` is None if a mail server receives them."""

    host: str
    port: int
    database: str
    mails: Path | None
    links: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Link:
    """A page of the service."""

    name: str
    url: str


@dataclass(frozen=True)
class ProcessFacts:
    """A process as the page shows it."""

    name: str
    runs: bool
    state: str
    up: str
    memory: str
    pid: int | None


@dataclass(frozen=True)
class Mail:
    """A mail in the folder, with its content."""

    file: str
    subject: str
    sender: str
    to: str
    when: str
    text: str


@dataclass(frozen=True)
class Status:
    """All data of the page."""

    processes: list[ProcessFacts]
    health: list[tuple[str, str]]
    jobs: list[tuple[str, int]]
    mails: list[Mail]
    no_mails: str
    errors: list[Trouble]
    links: list[Link]
    facts: list[tuple[str, str]]
    at: str

    @property
    def wrong(self) -> list[str]:
        """Everything that is stopped or unhealthy."""
        stopped = [process.name for process in self.processes if not process.runs]
        return [*stopped, *(part for part, state in self.health if state != "ok")]

    @property
    def well(self) -> bool:
        """Whether everything runs."""
        return not self.wrong

    @property
    def verdict(self) -> str:
        """A one-line summary."""
        return "All is well" if self.well else f"Look at: {', '.join(dict.fromkeys(self.wrong))}"


def look(place: Place, seen: list[Seen], troubles: list[Trouble]) -> Status:
    """The current state of everything."""
    return Status(
        processes=[_process(one) for one in seen],
        health=_health(place),
        jobs=asyncio.run(_jobs(place.database)),
        mails=mails(place.mails)[:MAILS] if place.mails else [],
        no_mails="None yet." if place.mails else "A mail server takes them (MAIL_HOST).",
        errors=troubles[::-1],
        links=[Link(*link) for link in place.links],
        facts=list(place.facts),
        at=datetime.now(UTC).astimezone().strftime("%H:%M:%S"),
    )


def mails(folder: Path) -> list[Mail]:
    """The mails in the folder, newest first: their names start with the time."""
    return [_mail(path) for path in sorted(folder.glob("*.eml"), reverse=True)]


def _mail(path: Path) -> Mail:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    return Mail(
        file=path.name,
        subject=str(message["subject"]),
        sender=str(message["from"]),
        to=str(message["to"]),
        when=datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone().strftime("%H:%M:%S"),
        text=body.get_content() if body else "",
    )


def _process(seen: Seen) -> ProcessFacts:
    runs, memory = seen.pid is not None, 0
    if seen.pid is not None:
        try:
            process = psutil.Process(seen.pid)
            family = [process, *process.children(recursive=True)]
            memory = sum(_memory(one) for one in family)
        except psutil.Error:
            runs = False
    return ProcessFacts(
        name=seen.name,
        runs=runs,
        state="running" if runs else "ended",
        up=_duration(time.time() - seen.began) if runs else "no",
        memory=f"{memory / 1e6:.0f} MB" if memory else "none",
        pid=seen.pid,
    )


def _memory(process: psutil.Process) -> int:
    """Bytes, of which pages shared with other processes count in proportion: forks share most."""
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return 0
    proportional: int = getattr(info, "pss", info.uss)  # macOS has no PSS.
    return proportional


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _health(place: Place) -> list[tuple[str, str]]:
    connection = http.client.HTTPConnection(place.host, place.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/health/ready")
        reply = connection.getresponse()
        answer = json.loads(reply.read())
    except (OSError, http.client.HTTPException, ValueError):
        return [("API", "no answer")]
    finally:
        connection.close()
    checks: dict[str, dict[str, object]] = answer.get("checks") or {}
    return [
        ("API", "ok" if reply.status == 200 else "not ready"),
        *(
            (name, "ok" if check["ok"] else str(check["error"] or "not ok"))
            for name, check in checks.items()
        ),
    ]


async def _jobs(database: str) -> list[tuple[str, int]]:
    """The number of jobs in each state; empty while the database is unavailable."""
    try:
        connection = await asyncpg.connect(database, timeout=_PATIENCE)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return []
    try:
        rows = await connection.fetch(
            "SELECT state, count(*) AS jobs FROM jobs GROUP BY state ORDER BY state",
            timeout=_PATIENCE,
        )
    except (asyncpg.PostgresError, TimeoutError):
        return []
    finally:
        await connection.close()
    return [(row["state"], row["jobs"]) for row in rows]
