"""Folders and ports of embedded servers."""

import os
import platform
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ops.dev.errors import UpError

LOOPBACK = "127.0.0.1"


def cache(environ: Mapping[str, str] | None = None) -> Path:
    """The folder for reproducible data: FASTAPI_BASE_CACHE, else in the user's cache folder.

    Without HOME, as in some sandboxes, a folder of this user among temporary files.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get("FASTAPI_BASE_CACHE"):
        return Path(chosen).absolute()
    if base := environ.get("XDG_CACHE_HOME"):
        return Path(base) / "fastapi-base"
    if home := environ.get("HOME"):
        return Path(home) / ".cache/fastapi-base"
    return Path(tempfile.gettempdir()) / f"fastapi-base-{os.getuid()}"


def debian_architecture() -> str:
    """This machine's architecture in Debian's terms. Raises UpError if it is unsupported."""
    machine = platform.machine().lower()
    known = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    if machine not in known:
        raise UpError(
            f"there are no locked Debian packages for {machine}, only for x86-64 and arm64"
        )
    return known[machine]


def free_port() -> int:
    """A free TCP port of loopback."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something accepts connections at this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == os.EX_OK


def port(wanted: int, what: str, variable: str) -> int:
    """``wanted`` if nothing listens there; a free port if it is 0. Raises UpError."""
    if not 0 <= wanted <= 65535:
        raise UpError(f"{variable}: {wanted} is not a port; the numbers are 0 to 65535")
    with socket.socket() as probe:
        # Like servers do: a lingering connection of the last run must not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError as error:
            raise UpError(
                f"port {wanted} for {what} cannot be used ({error.strerror}): stop the program "
                f"that uses it, or choose another port with {variable}"
            ) from None
        number: int = probe.getsockname()[1]
        return number
