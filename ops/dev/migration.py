"""Writes a migration for the difference between the models and the existing migrations.

    make migration MESSAGE="add colour to items"

It runs the migrations on an embedded database of its own, which it then removes. So it needs no
running service, and the state of a development database does not matter.
"""

import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi_base.migrations import runner
from ops.dev import guard, places, postgres, waiting
from ops.dev.errors import UpError
from ops.dev.postgres import Postgres

_USAGE = 'usage: make migration MESSAGE="add colour to items"'
_READY_SECONDS = 60.0


def main(arguments: list[str]) -> int:
    """Takes the message. Returns 1 with a sentence if no database can be started."""
    message = " ".join(arguments).strip()
    if not message:
        print(_USAGE, file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory(prefix="migration-") as folder, _database(folder) as url:
            runner.upgrade(url)
            written = runner.revision(url, message)
    except (UpError, OSError) as error:
        print(f"make migration: the embedded database: {error}", file=sys.stderr)
        return 1
    print(f"Written: {written.path}")
    if written.empty:
        print("It is empty, because models and migrations agree: write its steps, or remove it.")
    else:
        print("Review it: a renamed column appears as a drop and an add. Then: make fmt")
    return 0


@contextmanager
def _database(folder: str) -> Iterator[str]:
    """A server with throwaway data; yields the URL of its database."""
    place = Path(folder)
    server = Postgres(place / "data", places.free_port(), "throwaway", postgres.THROWAWAY)
    server.prepare(postgres.throwaway_run)
    log = place / "log"
    with guard.process(server.command(), log, signal.SIGINT) as process:
        waiting.until_serves(process, log, server.ready, "PostgreSQL", _READY_SECONDS)
        yield server.url()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
