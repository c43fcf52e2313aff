"""A real PgBouncer in transaction mode, from locked Debian packages."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ops.dev import guard, packages, places, postgres, waiting

READY_SECONDS = 30.0

# Without support for prepared statements, as before 1.21, which is the hardest case.
CONFIGURATION = """\
[databases]
* = host={host} port={server_port} user={user} password='{password}'
[pgbouncer]
listen_addr = {loopback}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_prepared_statements = 0
"""


@contextmanager
def pgbouncer(url: str, connections: int) -> Iterator[str]:
    """A PgBouncer in front of the server of this URL, with this many connections per database.

    Yields its URL. It uses the name of that database and accepts any user.
    """
    behind = urlsplit(url)
    root = packages.root("pgbouncer", "PgBouncer")
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as place:
        port = places.free_port()
        data = Path(place) / "data"
        data.mkdir()
        file = data / "pgbouncer.ini"
        file.write_text(
            CONFIGURATION.format(
                host=behind.hostname,
                server_port=behind.port,
                user=behind.username,
                password=behind.password,
                loopback=places.LOOPBACK,
                port=port,
                connections=connections,
            )
        )
        command = [
            *postgres.demoted(data),
            *packages.command(root, "usr/sbin/pgbouncer"),
            str(file),
        ]
        log = Path(place) / "log"
        with guard.process(command, log, signal.SIGINT) as process:
            waiting.until_serves(
                process, log, lambda: places.listens(port), "PgBouncer", READY_SECONDS
            )
            address = f"{behind.username}:unused@{places.LOOPBACK}:{port}"
            yield behind._replace(netloc=address).geturl()
