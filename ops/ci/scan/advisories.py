"""Known vulnerabilities of locked packages, from PyPI's JSON API (its data comes from OSV)."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

from ops.ci.scan.findings import Finding, UnavailableError

_TIMEOUT = 15.0


def scan(base: str, locked: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Query ``base`` (an index URL without ``/simple``) for each name and version.

    Raises UnavailableError if none is given, it lacks the API or does not respond, since a missing
    answer must not pass for a clean result.
    """
    if not base:
        raise UnavailableError(
            "SCAN_INDEX is not set; it must be the URL, without /simple, of an index with PyPI's "
            "JSON API"
        )
    packages = sorted(set(locked))
    with ThreadPoolExecutor(max_workers=8) as pool:
        # Only the first: an unresponsive index is queried once, not for each package.
        first = [_ask(base, *package) for package in packages[:1]]
        rest = pool.map(lambda package: _ask(base, *package), packages[1:])
        for (name, version), reply in zip(packages, chain(first, rest), strict=True):
            for one in reply:
                if one.get("withdrawn"):
                    continue
                mended = ", ".join(one.get("fixed_in", [])) or "no release yet"
                yield Finding(
                    f"advisories/{name}/{one['id']}",
                    f"{version} is affected, fixed in {mended}: {one.get('summary') or one['id']}",
                )


def _ask(base: str, name: str, version: str) -> list[dict[str, Any]]:
    address = f"{base}/pypi/{urllib.parse.quote(name)}/{urllib.parse.quote(version)}/json"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as reply:
            content = json.load(reply)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnavailableError(f"the index has no data on {name} {version} ({error})") from None
    if "vulnerabilities" not in content:
        raise UnavailableError(f"the index has no vulnerability data on {name} {version}")
    found: list[dict[str, Any]] = content["vulnerabilities"]
    return found
