"""Runs Schemathesis against a process of the API."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.integration.processes import environment

HERE = Path(__file__).parent.absolute()
SECONDS = int(os.environ.get("API_FUZZ_SECONDS") or "0")
EFFORT = ("--max-time", str(SECONDS)) if SECONDS else ("--seed", "2026", "--max-examples", "12")


@dataclass(frozen=True, slots=True)
class Api:
    """An API process, and a superuser's header."""

    url: str
    authorization: str


def schemathesis(api: Api, folder: Path, *selection: str) -> str:
    """Search for a request whose reply violates the description; fails with that request.

    Returns the report.
    """
    command = [
        *(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(HERE / "schemathesis.toml"),
        ),
        *("run", f"{api.url}/openapi.json", "--header", f"Authorization: {api.authorization}"),
        *EFFORT,
        *selection,
    ]
    result = subprocess.run(
        command,
        env=environment(
            NO_COLOR="1",
            COLUMNS="120",
            SCHEMATHESIS_HOOKS="tests.integration.contract.hooks",
        ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS * 3 + 240,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-20_000:] + result.stderr[-5_000:]
    return result.stdout
