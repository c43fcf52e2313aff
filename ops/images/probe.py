"""Health checks of the service's containers, without a shell: `probe.py api`, `worker`, `relay`.

Exit code 0 means healthy. A check covers only the process itself: restarting a container does not
help while its database is down.
"""

import os
import socket
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TIMEOUT = 4.0
RELAY_SECONDS = 60.0


def api() -> bool:
    """The API responds on its port."""
    # Kubernetes sets API_PORT=tcp://... for a Service named `api`.
    port = os.environ.get("API_PORT", "").strip("\"' \r\n")
    port = port if port.isdigit() else "8000"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=TIMEOUT) as reply:
        return bool(reply.status == 200)


def worker() -> bool:
    """The worker of this container answers a ping through the broker.

    Beat uses the same image and answers no ping; only its process can be checked.
    """
    if _runs(b"beat"):
        return True
    from fastapi_base.tasks.app import app

    name = f"celery@{socket.gethostname()}"
    return bool(app.control.ping(destination=[name], timeout=TIMEOUT))


def relay() -> bool:
    """The relay of this container has run a turn recently; it records one every few seconds.

    Other commands of the same image end by themselves.
    """
    if not _runs(b"relay"):
        return True
    mark = Path(tempfile.gettempdir()) / "fastapi-base-relay.alive"
    return time.time() - mark.stat().st_mtime < RELAY_SECONDS


def _runs(command: bytes) -> bool:
    """Whether this container was started for this command."""
    return command in Path("/proc/1/cmdline").read_bytes().split(b"\0")


if __name__ == "__main__":
    try:
        well = {"api": api, "worker": worker, "relay": relay}[sys.argv[1]]()
    except Exception as error:  # Whatever the error, an engine shows one line of it.
        sys.exit(f"{type(error).__name__}: {error}")
    sys.exit(0 if well else "no answer")
