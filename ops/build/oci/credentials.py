"""Registry credentials: from OCI_CREDENTIALS, else from `docker login` and `podman login`."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.build.oci.errors import OciError
from ops.build.oci.reference import HUB

_HELPER_SECONDS = 60
#: Instead of a name: what follows is a token for OAuth 2, which no password field accepts.
_TOKEN = "<token>"

_HUB_SERVER = "https://index.docker.io/v1/"


def find(host: str, repository: str, environment: Mapping[str, str]) -> str:
    """``USER:PASSWORD`` for a registry's repository; empty if nothing is stored for it.

    The sources are OCI_CREDENTIALS, then the files REGISTRY_AUTH_FILE, DOCKER_CONFIG/config.json,
    ~/.docker/config.json and the one of containers-auth.json(5), with the credential helpers that
    they name. Raises OciError for an unusable file or helper.
    """
    if given := environment.get("OCI_CREDENTIALS"):
        if ":" not in given:
            raise OciError("OCI_CREDENTIALS has no colon in it: it must be USER:PASSWORD")
        return given
    for path in _files(environment):
        if path.is_file() and (found := _of(path, host, repository, environment)):
            return found
    return ""


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    if own := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(own)
    if folder := environment.get("DOCKER_CONFIG"):
        yield Path(folder) / "config.json"
    elif home := environment.get("HOME"):
        yield Path(home) / ".docker/config.json"
    if folder := environment.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers/auth.json"


def _of(path: Path, host: str, repository: str, environment: Mapping[str, str]) -> str:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        known: Mapping[str, Any] = document.get("auths") or {}
        helpers = document.get("credHelpers") or {}
        helper = next(filter(None, map(helpers.get, (host, _server(host)))), None)
        helper = helper or document.get("credsStore")
    except (OSError, ValueError, AttributeError) as error:
        raise OciError(f"{path}: cannot be read as the file of `docker login`: {error}") from error
    entries = {re.sub(r"^https?://|/(v[12]/?)?$", "", key): value for key, value in known.items()}
    entry: Mapping[str, Any] = next(
        (entries[name] for name in _names(host, repository) if name in entries), {}
    )
    if "auth" in entry:
        try:
            found = base64.b64decode(entry["auth"], validate=True).decode()
        except ValueError as error:
            raise OciError(f"{path}: what it has for {host} is damaged: log in anew") from error
        if ":" in found:
            return found
    return _ask(helper, _server(host), environment) if helper else ""


def _server(host: str) -> str:
    """What `docker login` calls a registry: Docker Hub has a name of its own there."""
    return _HUB_SERVER if host == HUB else host


def _names(host: str, repository: str) -> Iterator[str]:
    """The possible keys of an entry, most specific first (containers-auth.json(5))."""
    parts = [host, *repository.split("/")]
    for count in range(len(parts), 0, -1):
        yield "/".join(parts[:count])
    if host == HUB:
        yield "index.docker.io"


def _ask(helper: str, host: str, environment: Mapping[str, str]) -> str:
    """The credentials of a credential helper (its protocol: a host on stdin, JSON on stdout)."""
    command = [f"docker-credential-{helper}", "get"]
    try:
        reply = subprocess.run(
            command,
            input=host,
            capture_output=True,
            text=True,
            env=dict(environment),
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OciError(
            f"{command[0]}, which keeps the credentials, does not run: {error}"
        ) from error
    if reply.returncode:
        if "not found" in reply.stdout:
            return ""
        said = (reply.stderr or reply.stdout).strip()
        raise OciError(f"{command[0]} gives no credentials for {host}: {said}")
    try:
        document = json.loads(reply.stdout)
        user, secret = str(document["Username"]), str(document["Secret"])
    except (ValueError, KeyError) as error:
        raise OciError(f"{command[0]} answered what is no credential") from error
    if user == _TOKEN:
        raise OciError(
            f"{command[0]} keeps an identity token for {host}: give a user and password (or an "
            "access token as password) in OCI_CREDENTIALS"
        )
    return f"{user}:{secret}"
