"""A real registry on loopback: Debian's docker-registry, from its locked packages."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt

from ops.dev import packages, places
from ops.dev.waiting import until_serves
from tests.ops.build.oci.tokens import SERVICE, Tokens

_START_SECONDS = 60


@contextmanager
def registry(
    folder: Path, user: str = "", password: str = "", tokens: Tokens | None = None
) -> Iterator[str]:
    """Yields ``127.0.0.1:PORT`` of a registry that keeps its data in the directory.

    With a user it requires basic authentication, with an authorisation service a token of that
    service.
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
        url = f"http://127.0.0.1:{port}/v2/"
        until_serves(child, log, lambda: _answers(url), "the registry", _START_SECONDS)
        yield f"127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as answer:
        if answer.code == 401:
            return True
        raise
    except OSError:
        return False
