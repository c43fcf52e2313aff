"""Mirrors of Debian packages: DEBIAN_MIRROR, or the configuration of this machine's apt.

No file of this repository names a mirror, so the locks work behind any proxy, mirror or snapshot.
URLs may contain passwords. Therefore tests do not get them as environment variables, which are part
of a test's cached action: the launcher `./pants` leaves DEBIAN_MIRROR in a file (NOTE) for them.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ops.build.debian import deb822

#: Suites that only Debian's own archives have; other entries in apt's sources are third-party.
_SUITES = re.compile(
    r"(?:bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)"
    r"(?:-updates|-security|/updates|-backports|-proposed-updates)?"
)
_SCHEMES = ("http://", "https://", "file:/")
#: In the folder FASTAPI_BASE_CACHE, readable only by its owner.
NOTE = "debian-mirror"


class MirrorError(RuntimeError):
    """No mirror is known, or none has the requested file; the message says what to set."""


def find(environ: Mapping[str, str] | None = None, apt: Path = Path("/etc/apt")) -> list[str]:
    """Mirror URLs in the order in which to try them, each without a trailing slash.

    DEBIAN_MIRROR (URLs separated by spaces) takes precedence, from the environment or from the
    launcher's note in FASTAPI_BASE_CACHE; otherwise the Debian entries of apt's sources in both of
    its formats (sources.list(5)) apply. Security updates are in a separate archive; by Debian's
    convention it is next to the main one, and is added if not listed. Raises MirrorError if there
    is none.
    """
    environ = os.environ if environ is None else environ
    if named := chosen(environ).split():
        for mirror in named:
            if not mirror.startswith(_SCHEMES):
                raise MirrorError(
                    f"DEBIAN_MIRROR: {public(mirror)!r} is not an address that starts with "
                    "http://, https:// or file:/"
                )
        return _with_security(mirror.rstrip("/") for mirror in named)
    found: dict[str, None] = {}
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            found.update(dict.fromkeys(_one_line(path.read_text(encoding="utf-8"))))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found.update(dict.fromkeys(_sources(path.read_text(encoding="utf-8"))))
    mirrors = _with_security(uri.rstrip("/") for uri in found if uri.startswith(_SCHEMES))
    if not mirrors:
        raise MirrorError(
            "no Debian mirror is known: this machine's apt sources name none. "
            "Set DEBIAN_MIRROR to the address of one (the folder that holds dists/ and pool/); "
            "several, separated by spaces, are tried in order"
        )
    return mirrors


def when_needed() -> Iterator[str]:
    """The same, evaluated lazily: a machine without a mirror can use its cache."""
    yield from find()


def public(text: str) -> str:
    """A text without the user names and passwords of the URLs in it."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", text)


def chosen(environ: Mapping[str, str]) -> str:
    """DEBIAN_MIRROR, from the environment or the launcher's note; empty if unset."""
    if value := environ.get("DEBIAN_MIRROR"):
        return value
    folder = environ.get("FASTAPI_BASE_CACHE")
    try:
        return (Path(folder) / NOTE).read_text(encoding="utf-8") if folder else ""
    except FileNotFoundError:
        return ""


def _with_security(mirrors: Iterable[str]) -> list[str]:
    named = list(dict.fromkeys(mirrors))
    # A snapshot's URL ends in its time: .../debian/20260101T000000Z.
    pairs = (re.fullmatch(r"(.*/debian)(/\d{8}T\d{6}Z)?", mirror) for mirror in named)
    beside = [f"{pair[1]}-security{pair[2] or ''}" for pair in pairs if pair]
    return list(dict.fromkeys([*named, *beside]))


def _one_line(text: str) -> Iterator[str]:
    for line in text.splitlines():
        entry = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s", line + " ")
        if entry and _SUITES.fullmatch(entry[2].rstrip("/")):
            yield entry[1]


def _sources(text: str) -> Iterator[str]:
    for fields in deb822.paragraphs(text):
        words = {name: value.split() for name, value in fields.items()}
        if (
            "deb" in words.get("types", [])
            and words.get("enabled") != ["no"]
            and any(_SUITES.fullmatch(suite.rstrip("/")) for suite in words.get("suites", []))
        ):
            yield from words.get("uris", [])
