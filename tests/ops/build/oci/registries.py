"""A real registry on loopback: Debian's docker-registry, out of its locked packages."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from ops.dev import packages, places
from tests.ops.oci.tokens import SERVICE, Tokens

_START_SECONDS = 60


@contextmanager
def registry(
    folder: Path, user: str = "", password: str = "", tokens: Tokens | None = None
) -> Iterator[str]:
    """Yields ``127.0.0.1:PORT`` of a registry that keeps its data in the folder.

    With a user it wants to be told who comes, with an authorisation service a token of that.
    """
    root = packages.root("registry", "the registry")
    port = places.port(0, "the registry", "")
    settings = [
        "version: 0.1",
        "log: {level: warn}",
        f"storage: {{filesystem: {{rootdirectory: '{folder / 'data'}'}}}}",
        f"http: {{addr: '127.0.0.1:{port}'}}",
    ]
    if user:
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        (folder / "users").write_text(f"{user}:{hashed}\n")
        settings.append(f"auth: {{htpasswd: {{realm: tests, path: '{folder / 'users'}'}}}}")
    if tokens:
        settings.append(
            f"auth: {{token: {{realm: '{tokens.address}', service: {SERVICE}, issuer: {SERVICE}, "
            f"rootcertbundle: '{tokens.certificate}'}}}}"
        )
    configuration = folder / "config.yml"
    configuration.write_text("\n".join(settings) + "\n")
    command = packages.command(root, "usr/bin/docker-registry")
    command += ["serve", str(configuration)]
    log = folder / "log"
    with log.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait(f"http://127.0.0.1:{port}/v2/", child, log)
        yield f"127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(30)


def _wait(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as answer:
            if answer.code == 401:
                return
            raise
        except OSError:
            assert child.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
