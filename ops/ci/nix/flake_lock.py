"""Checks that flake.lock locks the inputs that flake.nix names."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

_URL = re.compile(r"github:([^/]+)/([^/]+)/(.+)")


def problems(inputs: Mapping[str, Any], lock: Mapping[str, Any]) -> Iterator[str]:
    """The problems of ``lock``, one sentence each; empty if it is valid.

    ``inputs`` is the value of that name in flake.nix. This does not verify that a hash belongs to
    its commit: Nix does so when it fetches.
    """
    if lock["version"] != 7:
        yield f"the lock is of version {lock['version']}, not 7"
    nodes = lock["nodes"]
    root = nodes[lock["root"]]["inputs"]
    if set(root) != set(inputs):
        yield f"flake.nix has the inputs {sorted(inputs)}, flake.lock {sorted(root)}"
    if unused := set(nodes) - {lock["root"], *root.values()}:
        yield f"no input needs {sorted(unused)}"
    for name in sorted(set(root) & set(inputs)):
        for problem in _input(inputs[name]["url"], nodes[root[name]]):
            yield f"{name}: {problem}"


def _input(url: str, node: Mapping[str, Any]) -> Iterator[str]:
    match = _URL.fullmatch(url)
    if match is None:
        yield f"{url} is not of the form github:OWNER/REPOSITORY/BRANCH"
        return
    wanted = {"type": "github", "owner": match[1], "repo": match[2], "ref": match[3]}
    if node["original"] != wanted:
        yield f"flake.nix asks for {wanted}, the lock was made for {node['original']}"
    locked = node["locked"]
    if any(locked[key] != wanted[key] for key in ("type", "owner", "repo")):
        yield f"is locked to {locked['owner']}/{locked['repo']}, another repository"
    if not re.fullmatch(r"[0-9a-f]{40}", locked["rev"]):
        yield f"rev {locked['rev']!r} is not a commit"
    if not _is_sha256(locked["narHash"]):
        yield f"narHash {locked['narHash']!r} is not a SHA-256"


def _is_sha256(text: str) -> bool:
    algorithm, _, digest = text.partition("-")
    try:
        return algorithm == "sha256" and len(base64.b64decode(digest, validate=True)) == 32
    except binascii.Error:
        return False
