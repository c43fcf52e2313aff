"""Where Debian packages come from: DEBIAN_MIRROR, else what this machine's apt is set up with.

No file of this repository names a mirror, so the locks work behind any proxy, mirror or snapshot.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

#: Suites that only Debian's own archives have; other entries of apt's sources are other vendors'.
_SUITES = re.compile(
    r"(?:bullseye|bookworm|trixie|forky|duke|sid|oldoldstable|oldstable|stable|testing|unstable)"
    r"(?:-updates|-security|/updates|-backports|-proposed-updates)?"
)
_SCHEMES = ("http://", "https://", "file:/")


class MirrorError(RuntimeError):
    """No mirror is known, or none has what is asked for; the message says what to set."""


def find(environ: Mapping[str, str] | None = None, apt: Path = Path("/etc/apt")) -> list[str]:
    """Mirror addresses in the order in which to try them, each without a slash at its end.

    DEBIAN_MIRROR (addresses separated by spaces) wins; else the Debian entries of apt's sources in
    both of its formats (sources.list(5)). Security updates lie in an archive of their own; by
    Debian's custom it stands beside the main one, and is added where it was not named. Raises
    MirrorError when there is none.
    """
    environ = os.environ if environ is None else environ
    if chosen := environ.get("DEBIAN_MIRROR", "").split():
        for mirror in chosen:
            if not mirror.startswith(_SCHEMES):
                raise MirrorError(
                    f"DEBIAN_MIRROR: {mirror!r} is not an address that starts with http://, "
                    "https:// or file:/"
                )
        return _with_security(mirror.rstrip("/") for mirror in chosen)
    found: dict[str, None] = {}
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            found.update(dict.fromkeys(_one_line(path.read_text(encoding="utf-8"))))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found.update(dict.fromkeys(_deb822(path.read_text(encoding="utf-8"))))
    mirrors = _with_security(uri.rstrip("/") for uri in found if uri.startswith(_SCHEMES))
    if not mirrors:
        raise MirrorError(
            "no Debian mirror is known: this machine's apt sources name none. "
            "Set DEBIAN_MIRROR to the address of one (the folder that holds dists/ and pool/); "
            "several, separated by spaces, are tried in order"
        )
    return mirrors


def _with_security(mirrors: Iterable[str]) -> list[str]:
    named = list(dict.fromkeys(mirrors))
    # A snapshot's address ends in its time: .../debian/20260101T000000Z.
    pairs = (re.fullmatch(r"(.*/debian)(/\d{8}T\d{6}Z)?", mirror) for mirror in named)
    beside = [f"{pair[1]}-security{pair[2] or ''}" for pair in pairs if pair]
    return list(dict.fromkeys([*named, *beside]))


def _one_line(text: str) -> Iterator[str]:
    for line in text.splitlines():
        entry = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s", line + " ")
        if entry and _SUITES.fullmatch(entry[2].rstrip("/")):
            yield entry[1]


def _deb822(text: str) -> Iterator[str]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", without_comments):
        fields: dict[str, list[str]] = {}
        words: list[str] = []
        for line in stanza.splitlines():
            if line[:1].isspace():
                words += line.split()
            elif ":" in line:
                name, _, rest = line.partition(":")
                words = fields[name.lower()] = rest.split()
        if (
            "deb" in fields.get("types", [])
            and fields.get("enabled") != ["no"]
            and any(_SUITES.fullmatch(suite.rstrip("/")) for suite in fields.get("suites", []))
        ):
            yield from fields.get("uris", [])
