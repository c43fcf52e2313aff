"""Generates load with wrk, from a locked Debian package."""

import json
import re
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.dev import packages

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class LoadError(Exception):
    """The replies to the load were not the expected ones."""


@dataclass(frozen=True)
class Load:
    """Requests to send: over how many connections, and for how many seconds."""

    url: str
    # Used in turn; each belongs to one caller.
    tokens: Sequence[str] = ()
    connections: int = 16
    seconds: int = 3
    body: str | None = None
    media_type: str = "application/json"


@dataclass(frozen=True)
class Outcome:
    """The result of a load. Times are milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float
    # Replies with an error status.
    refused: int = 0


def program() -> list[str]:
    """The start of a command line that runs wrk."""
    return packages.command(packages.root("wrk", "wrk"), "usr/bin/wrk")


def start(load: Load, folder: Path) -> subprocess.Popen[str]:
    """Start sending."""
    command = [*program(), "--threads", "1", "--latency", "--timeout", "30s"]
    command += ["--connections", str(load.connections), "--duration", f"{load.seconds}s"]
    script = folder / f"load-{secrets.token_hex(4)}.lua"
    script.write_text(_script(load))
    command += ["--script", str(script)]
    return subprocess.Popen([*command, load.url], stdout=subprocess.PIPE, text=True)


def _script(load: Load) -> str:
    """Builds the requests before the load starts, so that wrk itself needs little CPU."""
    method = "GET" if load.body is None else "POST"
    heads: list[dict[str, str]] = [{"Authorization": f"Bearer {token}"} for token in load.tokens]
    made = []
    for head in heads or [{}]:
        if load.body is not None:
            head["Content-Type"] = load.media_type
        table = ",".join(f"[{json.dumps(name)}]={json.dumps(text)}" for name, text in head.items())
        body = "nil" if load.body is None else json.dumps(load.body)
        made.append(f'  all[#all + 1] = wrk.format("{method}", nil, {{{table}}}, {body})\n')
    return (
        "local all, last = {}, 0\n"
        f"init = function()\n{''.join(made)}end\n"
        "request = function() last = last % #all + 1; return all[last] end\n"
    )


def finish(process: subprocess.Popen[str], *, may_refuse: bool = False) -> Outcome:
    """Wait for the end. Raises LoadError if a reply was an error, unless errors are allowed."""
    said, _ = process.communicate()
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if process.returncode or "Socket errors" in said or (refused and not may_refuse):
        raise LoadError(f"the load was not answered well:\n{said}")
    requests = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert requests, said
    assert rate, said
    return Outcome(
        int(requests[1]),
        float(rate[1]),
        _percentile(said, 50),
        _percentile(said, 99),
        int(refused[1]) if refused else 0,
    )


def _percentile(said: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", said)
    assert found, said
    return float(found[1]) * _UNITS[found[2]]
