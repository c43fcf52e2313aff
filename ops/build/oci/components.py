"""The packages in a layer, from their own metadata files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from posixpath import dirname, join, normpath
from typing import Any, Self

from ops.build.oci import control, embedded
from ops.build.oci.embedded import Part
from ops.build.oci.entry import Entry, Kind

_STATUS = "var/lib/dpkg/status.d/"
_METADATA = re.compile(r"(?:.*/)?[^/]+\.dist-info/METADATA")
_CLASSIFIER = "License :: "


@dataclass(frozen=True, order=True)
class Component:
    """A Debian package (``kind`` deb), a distribution from PyPI (``pypi``) or our sources
    (``app``).

    ``licences`` are names as the package states them; ``sha256`` is that of the .deb, where known.
    ``requires`` holds the dependencies in the syntax of the kind: Debian's relations, or
    requirements. ``tags`` are a wheel's. ``parts`` are those that the wheel's own bills of
    materials list (PEP 770), and ``bills`` the paths and SHA-256 of these.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    sha256: str = ""
    licences: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    bills: tuple[tuple[str, str], ...] = ()

    @classmethod
    def restore(cls, fields: Mapping[str, Any]) -> Self:
        """The component that `asdict` turned into JSON."""
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        known["parts"] = tuple(Part.restore(one) for one in known["parts"])
        known["bills"] = tuple((path, sha256) for path, sha256 in known["bills"])
        return cls(**known)


def find(entries: Iterable[Entry]) -> tuple[Component, ...]:
    """The packages in these files, sorted."""
    files = {entry.path: entry for entry in entries}
    found = [*_debian(files), *_python(files)]
    return tuple(sorted(found))


def _debian(files: Mapping[str, Entry]) -> Iterator[Component]:
    for path, entry in files.items():
        if path.startswith(_STATUS) and entry.kind is Kind.FILE:
            fields = control.parse(entry.content.decode())
            name = fields["package"]
            yield Component(
                "deb",
                name,
                fields["version"],
                fields["architecture"],
                fields.get("source", ""),
                fields.get("sha256", ""),
                tuple(control.licences(_copyright(files, name))),
                tuple(control.relations(fields)),
            )


def _copyright(files: Mapping[str, Entry], package: str) -> str:
    """The copyright text; a package may link to the documentation folder of another one."""
    path = f"usr/share/doc/{package}"
    folder = files.get(path)
    if folder is not None and folder.kind is Kind.SYMLINK:
        path = normpath(join(dirname(path), folder.target)).lstrip("/")
    entry = files.get(f"{path}/copyright")
    return entry.content.decode(errors="replace") if entry else ""


def _python(files: Mapping[str, Entry]) -> Iterator[Component]:
    bills = embedded.find(files.values())
    for path, entry in files.items():
        if entry.kind is Kind.FILE and _METADATA.fullmatch(path):
            fields = HeaderParser().parsestr(entry.content.decode(errors="replace"))
            folder = dirname(path)
            own = bills.get(folder, {})
            yield Component(
                "pypi",
                re.sub(r"[-_.]+", "-", fields["Name"]).lower(),
                fields["Version"],
                licences=_licences(
                    fields.get("License-Expression", ""),
                    fields.get("License", ""),
                    fields.get_all("Classifier", []),
                ),
                requires=tuple(fields.get_all("Requires-Dist", [])),
                tags=_tags(files.get(f"{folder}/WHEEL")),
                parts=embedded.parts(own),
                bills=tuple((path, bill.sha256) for path, bill in sorted(own.items())),
            )


def _tags(wheel: Entry | None) -> tuple[str, ...]:
    if wheel is None:
        return ()
    fields = HeaderParser().parsestr(wheel.content.decode(errors="replace"))
    return tuple(sorted(fields.get_all("Tag", [])))


def _licences(expression: str, free: str, classifiers: Iterable[str]) -> tuple[str, ...]:
    """PEP 639's expression; else the old field, if it is a name and not a licence text; else the
    licences of the classifiers.
    """
    if expression:
        return (expression,)
    # Old tools wrote "UNKNOWN" for an empty field.
    if free and "\n" not in free and len(free) < 80 and free != "UNKNOWN":
        return (free,)
    names = {one.split(" :: ")[-1] for one in classifiers if one.startswith(_CLASSIFIER)}
    return tuple(sorted(names))
