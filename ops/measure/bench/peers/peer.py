"""The description of a peer in an adapter, and a peer that serves by it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import typer

from ops.dev import places
from ops.measure.bench import serving
from ops.measure.bench.load import Load
from ops.measure.bench.serving import Subject

PREPARE_SECONDS = 120
# More than a page.
ITEMS = 60


@dataclass(frozen=True)
class Peer:
    """How a project is run and called.

    Programs are those of the virtual environment `.venv` in the checkout, or in `folder`. `{port}`
    in `serve` is replaced by a free port.
    """

    # The directory of its programs, relative to the checkout.
    folder: str
    # How to create its virtual environment: shown when there is none.
    install: str
    # Its settings, from the addresses of an empty database and of Redis.
    environ: Callable[[str, str], Mapping[str, str]]
    # Creates its tables and first account.
    prepare: Sequence[Sequence[str]]
    # One process of it, as in production.
    serve: Sequence[str]
    # A path that answers 200 as soon as it serves.
    live: str
    # Returns access tokens, after creating whatever else the workloads need.
    log_in: Callable[[httpx2.Client], list[str]]
    # By the names of ops/measure/bench/api.py.
    workloads: Mapping[str, Load]


@contextmanager
def serving_peer(
    name: str, peer: Peer, checkout: Path, folder: Path, database: str, redis: str
) -> Iterator[Subject]:
    """The peer of this checkout. Raises typer.BadParameter if it cannot be run."""
    place = checkout / peer.folder
    programs = next(
        (path for path in (place / ".venv/bin", checkout / ".venv/bin") if path.is_dir()), None
    )
    if programs is None:
        raise typer.BadParameter(
            f"{checkout} has no .venv, or is no checkout of {name}: make it by `{peer.install}`"
        )
    # Without this project's variables: the peer has its own modules and settings.
    environ = {
        **peer.environ(database, redis),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": "",
    }
    for step in peer.prepare:
        done = subprocess.run(
            [_program(programs, step[0]), *step[1:]],
            cwd=place,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=PREPARE_SECONDS,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout}\n{done.stderr}".strip()[-2000:]
            raise typer.BadParameter(f"`{' '.join(step)}` of {name} failed:\n{said}")
    port = places.free_port()
    command = [part.replace("{port}", str(port)) for part in peer.serve]
    command[0] = _program(programs, command[0])
    with serving.process(name, command, port, folder, environ, live=peer.live, cwd=place) as one:
        yield one


def logged_in(client: httpx2.Client, url: str, username: str, items: str, item: str) -> list[str]:
    """Access tokens of an account that then owns many items."""
    tokens = serving.tokens(client, url, username)
    heads = {"Authorization": f"Bearer {tokens[0]}", "Content-Type": "application/json"}
    for _ in range(ITEMS):
        client.post(items, content=item, headers=heads).raise_for_status()
    return tokens


def _program(programs: Path, name: str) -> str:
    found = shutil.which(name, path=str(programs))
    if found is None:
        raise typer.BadParameter(f"{programs} has no program {name}")
    return found
