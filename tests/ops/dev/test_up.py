"""The whole stack as `make up` runs it: log in, stop, find the data again; clear errors."""

import json
import re
import shlex
import signal
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.dev.places import free_port
from ops.dev.stack import ROOT
from ops.dev.waiting import until
from tests.ops.dev.helpers import Run, gone, run


@contextmanager
def up(folder: Path, port: int, *options: str) -> Iterator[Run]:
    ports = ("--postgres-port=0", "--redis-port=0", "--status-port=0")
    with run(
        "-m",
        "ops.dev.up",
        f"--data={folder}",
        *ports,
        *options,
        API_PORT=str(port),
        API_WORKERS="1",
        CELERY_CONCURRENCY="1",
    ) as started:
        yield started


def post(port: int, path: str, body: bytes, kind: str) -> dict[str, str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1{path}", body, {"Content-Type": kind}
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        answer: dict[str, str] = json.load(reply)
        return answer


def log_in(port: int, email: str, password: str) -> bool:
    form = urllib.parse.urlencode({"username": email, "password": password}).encode()
    answer = post(port, "/auth/login", form, "application/x-www-form-urlencoded")
    return bool(answer["access_token"])


def admin_of(started: Run) -> tuple[str, str]:
    found = re.search(r"admin +(\S+), password: (\S+)", started.text)
    assert found
    return found[1], found[2]


def accounts(env: Path) -> set[str]:
    """The addresses that an operator's command prints with the settings of this run."""
    assert env.stat().st_mode & 0o777 == 0o600
    settings = dict(shlex.split(line)[0].split("=", 1) for line in env.read_text().splitlines())
    command = ("-m", "fastapi_base.cli", "accounts", "find", "--json")
    with run(*command, **settings) as started:
        assert started.finish() == 0, started.text
    return {item["email"] for item in json.loads(started.lines[-1])["items"]}


def test_unknown_process_is_refused(tmp_path: Path) -> None:
    with up(tmp_path, free_port(), "--without=wroker") as started:
        assert started.finish() == 2
    assert "--without: wroker: must be of api, relay, worker, beat" in started.text


def test_stack_serves_stops_in_order_and_keeps_its_data(tmp_path: Path) -> None:
    port = free_port()
    account = {"email": "someone@example.com", "password": "correct horse battery staple"}
    with up(tmp_path / "data", port) as started:
        started.expect("Ctrl-C stops everything")
        admin = admin_of(started)
        assert log_in(port, *admin)
        post(port, "/auth/register", json.dumps(account).encode(), "application/json")

        with up(tmp_path / "data", port) as second:
            assert second.finish() == 1
        assert f"another `make up` uses {tmp_path / 'data'}" in second.text
        with up(tmp_path / "other", port) as second:
            assert second.finish() == 1
        assert f"make up: port {port} for the API cannot be used" in second.text
        assert "Traceback" not in second.text

        family = started.family()
        started.send(signal.SIGINT)
        assert started.finish() == 0
        assert gone(family)
    stopped = [line.rsplit(" ", 1)[1] for line in started.lines if "| stopping" in line]
    assert stopped == ["beat", "worker", "relay", "api", "redis", "postgres"]

    with up(tmp_path / "data", port, "--without=worker,beat") as started:
        started.expect("Ctrl-C stops everything")
        assert "worker is ready" not in started.text
        assert admin_of(started) == admin
        assert accounts(tmp_path / "data/up.env") == {admin[0], account["email"]}
        assert log_in(port, account["email"], account["password"])
        # Even when it is killed, no process remains, and the data stays intact.
        family = started.family()
        started.send(signal.SIGKILL)
        assert gone(family)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("postgres/PG_VERSION", "16\n", "contains data of PostgreSQL 16, but this is 17"),
        ("postgres/notes.txt", "", "is not a PostgreSQL data directory"),
        ("redis", "", "is not usable for Redis data"),
        ("secrets.json", "{}", "secrets.json is damaged"),
    ],
)
def test_broken_data_directory_is_named(tmp_path: Path, file: str, content: str, said: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    with up(tmp_path, free_port()) as started:
        assert started.finish() == 1
    assert said in started.text
    assert "Traceback" not in started.text
    assert path.read_text() == content


@contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """A source file with modified text, until the context ends."""
    before = path.read_text()
    assert old in before
    try:
        path.write_text(before.replace(old, new))
        yield
    finally:
        path.write_text(before)


@contextmanager
def added_migration() -> Iterator[str]:
    """An additional newest migration, until the context ends; yields its revision."""
    versions = ROOT / "src/fastapi_base/migrations/versions"
    newest = max(versions.glob("[0-9]*.py"))
    (head,) = re.findall(r'^revision.*"(.+)"', newest.read_text(), re.M)
    added = versions / "9999_reloaded.py"
    try:
        added.write_text(
            f'revision = "9999"\ndown_revision = "{head}"\nbranch_labels = depends_on = None\n\n\n'
            "def upgrade() -> None:\n    pass\n"
        )
        yield "9999"
    finally:
        added.unlink()


def description(port: int) -> dict[str, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=20) as reply:
        info: dict[str, str] = json.load(reply)["info"]
        return info


def test_edits_and_new_migrations_are_applied_at_run_time(tmp_path: Path) -> None:
    port = free_port()
    with up(tmp_path / "data", port, "--reload") as started:
        started.expect("Ctrl-C stops everything")
        summary = description(port)["summary"]
        edit = edited(ROOT / "src/fastapi_base/main.py", summary, "Edited while it runs.")
        with added_migration() as revision, edit:
            started.expect("the code changed: restarting")
            assert "migrate" in started.expect(f"-> {revision}")
            for name in ("api", "worker"):
                started.expect(f"{name} is ready")
            assert description(port)["summary"] == "Edited while it runs."
            until(lambda: log_in(port, *admin_of(started)), "the login of the first admin", 60)
            family = started.family()
            started.send(signal.SIGTERM)
            assert started.finish() == 0
            assert gone(family)
