"""Health checks of the service's containers, run without a shell: `probe.py api` or `worker`.

Exit code 0 is well. What is asked is whether the process itself answers: a container does not get
well by a restart when its database is down.
"""

import os
import socket
import sys
import urllib.request
from pathlib import Path

TIMEOUT = 4.0


def api() -> bool:
    """The API answers on its port."""
    port = os.environ.get("API_PORT") or "8000"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=TIMEOUT) as reply:
        return bool(reply.status == 200)


def worker() -> bool:
    """The worker of this container answers a ping through the broker.

    Beat is of the same image and answers nobody; that its process is there is all one can ask.
    """
    if b"beat" in Path("/proc/1/cmdline").read_bytes().split(b"\0"):
        return True
    from fastapi_base.tasks.app import app

    name = f"celery@{socket.gethostname()}"
    return bool(app.control.ping(destination=[name], timeout=TIMEOUT))


if __name__ == "__main__":
    try:
        well = {"api": api, "worker": worker}[sys.argv[1]]()
    except Exception as error:  # Whatever it is, one line of it is what an engine shows.
        sys.exit(f"{type(error).__name__}: {error}")
    sys.exit(0 if well else "no answer")
