"""Bills of materials inside wheels (PEP 770): what was compiled or copied into them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from ops.build.oci.entry import Entry, Kind

_FILE = re.compile(r"((?:.*/)?[^/]+\.dist-info)/sboms/.+\.json")
_LOCAL = re.compile(r"[?&](download_url|vcs_url)=file:[^&#]*")


@dataclass(frozen=True, order=True)
class Part:
    """A library in a wheel: package URL, SHA-256 and licence are empty where they are not stated.

    ``bill`` is the name of the document that lists it.
    """

    name: str
    version: str
    purl: str
    sha256: str
    licence: str
    bill: str

    @classmethod
    def restore(cls, fields: Mapping[str, str]) -> Self:
        """The part that `asdict` turned into JSON."""
        return cls(**fields)


@dataclass(frozen=True)
class Bill:
    """A CycloneDX document of a wheel, with the digest of its file."""

    sha256: str
    document: Mapping[str, Any]


def find(entries: Iterable[Entry]) -> dict[str, dict[str, Bill]]:
    """The documents by the .dist-info folder that they are in, then by path.

    A document in another format is listed without its content.
    """
    found: dict[str, dict[str, Bill]] = {}
    for entry in entries:
        match = _FILE.fullmatch(entry.path)
        if match and entry.kind is Kind.FILE:
            bill = Bill(sha256(entry.content).hexdigest(), _cyclonedx(entry.content))
            found.setdefault(match[1], {})[entry.path] = bill
    return found


def parts(bills: Mapping[str, Bill]) -> tuple[Part, ...]:
    """The libraries that these documents list, sorted, without repetitions."""
    found: dict[tuple[str, str, str], Part] = {}
    for path, bill in sorted(bills.items()):
        for part in _parts(bill.document.get("components", ()), path.rpartition("/")[2]):
            found.setdefault((part.name, part.version, part.purl), part)
    return tuple(sorted(found.values()))


def _cyclonedx(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    known = isinstance(document, dict) and document.get("bomFormat") == "CycloneDX"
    return document if known else {}


def _parts(components: Iterable[Mapping[str, Any]], bill: str) -> Iterator[Part]:
    for one in components:
        hashes = {known["alg"]: known["content"] for known in one.get("hashes", ())}
        yield Part(
            str(one.get("name", "")),
            str(one.get("version", "")),
            # Where it was on the machine that built the wheel is no part of its name.
            _LOCAL.sub("", str(one.get("purl", ""))),
            hashes.get("SHA-256", ""),
            _licence(one.get("licenses", ())),
            bill,
        )
        yield from _parts(one.get("components", ()), bill)


def _licence(choices: Iterable[Mapping[str, Any]]) -> str:
    names = []
    for choice in choices:
        named = choice.get("license", {})
        names.append(choice.get("expression") or named.get("id") or named.get("name") or "")
    return " AND ".join(filter(None, names))
