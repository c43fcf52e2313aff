"""Known weaknesses of locked packages, as PyPI's JSON API lists them (its data is that of OSV)."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from ops.scan.findings import Finding, UnavailableError

_TIMEOUT = 15.0


def scan(base: str, locked: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Ask ``base`` (an index's address without ``/simple``) about each name and version.

    Raises UnavailableError where none is given, it has no such API or does not answer, since
    silence about a weakness must not pass for health.
    """
    if not base:
        raise UnavailableError(
            "SCAN_INDEX is not set; it must be the address, without /simple, of an index that "
            "has PyPI's JSON API"
        )
    packages = sorted(set(locked))
    with ThreadPoolExecutor(max_workers=8) as pool:
        # The first alone: an index that does not answer is asked once, and not for each package.
        first = [_ask(base, *package) for package in packages[:1]]
        rest = pool.map(lambda package: _ask(base, *package), packages[1:])
        for (name, version), reply in zip(packages, chain(first, rest), strict=True):
            for one in reply:
                if one.get("withdrawn"):
                    continue
                mended = ", ".join(one.get("fixed_in", [])) or "no release yet"
                yield Finding(
                    f"advisories/{name}/{one['id']}",
                    f"{version} is affected, mended in {mended}: {one.get('summary') or one['id']}",
                )


def _ask(base: str, name: str, version: str) -> list[dict[str, Any]]:
    address = f"{base}/pypi/{urllib.parse.quote(name)}/{urllib.parse.quote(version)}/json"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as reply:
            content = json.load(reply)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(f"the index tells nothing of {name} {version} ({error})") from None
    if "vulnerabilities" not in content:
        raise UnavailableError(f"the index lists no vulnerabilities of {name} {version}")
    found: list[dict[str, Any]] = content["vulnerabilities"]
    return found
