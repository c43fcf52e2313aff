"""Load from outside: wrk, out of a locked Debian package."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.dev import packages

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class LoadError(Exception):
    """The load was not answered as it should be."""


@dataclass(frozen=True)
class Load:
    """Requests to send: by how many connections, and for how many seconds."""

    url: str
    headers: Mapping[str, str]
    connections: int = 16
    seconds: float = 3
    form: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it. Times are milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float


def program() -> list[str]:
    """The start of a command line that runs wrk."""
    return packages.command(packages.root("wrk", "wrk"), "usr/bin/wrk")


def start(load: Load, folder: Path) -> subprocess.Popen[str]:
    """Begin to send."""
    command = [*program(), "--threads", "1", "--latency", "--timeout", "30s"]
    command += ["--connections", str(load.connections), "--duration", f"{load.seconds:g}s"]
    for name, value in load.headers.items():
        command += ["--header", f"{name}: {value}"]
    if load.form is not None:
        script = folder / "post.lua"
        script.write_text(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"\n'
            f'wrk.body = "{load.form}"\n'
        )
        command += ["--script", str(script)]
    return subprocess.Popen([*command, load.url], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for the end. Raises LoadError when a reply was an error."""
    said, _ = process.communicate()
    if process.returncode or "Non-2xx" in said or "Socket errors" in said:
        raise LoadError(f"the load was not answered well:\n{said}")
    requests = re.search(r"(\d+) requests in", said)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert requests, said
    assert rate, said
    return Outcome(int(requests[1]), float(rate[1]), _percentile(said, 50), _percentile(said, 99))


def _percentile(said: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", said)
    assert found, said
    return float(found[1]) * _UNITS[found[2]]
