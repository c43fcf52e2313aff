"""Which package of an image requires which: the edges of bills of materials."""

import re
from collections.abc import Iterable, Iterator, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ops.build.oci.components import Component

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_RELATION = re.compile(r"[a-z0-9][a-z0-9+.-]+")

type Key = tuple[str, str]


def key(component: Component) -> Key:
    """What identifies a component within an image."""
    return component.kind, component.name


def edges(components: Iterable[Component], platform: str) -> dict[Key, list[Key]]:
    """The direct dependencies of each component that are in the image, sorted.

    Markers are evaluated for the image's platform and interpreter, extras where something in the
    image requests them.
    """
    known = {key(one): one for one in components}
    found = {name: set(_debian(one, known)) for name, one in known.items() if name[0] == "deb"}
    found |= _python(known, _environment(known.values(), platform))
    return {name: sorted(required) for name, required in sorted(found.items())}


def required_by(known: Mapping[Key, Iterable[Key]]) -> dict[Key, list[Key]]:
    """The same edges in the other direction."""
    found: dict[Key, list[Key]] = {name: [] for name in known}
    for name, required in sorted(known.items()):
        for one in required:
            found[one].append(name)
    return found


def _debian(component: Component, known: Mapping[Key, Component]) -> Iterator[Key]:
    """The first alternative of each relation that is in the image; none for virtual packages."""
    for relation in component.requires:
        for alternative in relation.split("|"):
            match = _RELATION.match(alternative.strip())
            if match and ("deb", match[0]) in known:
                yield "deb", match[0]
                break


def _python(known: Mapping[Key, Component], environment: Mapping[str, str]) -> dict[Key, set[Key]]:
    found: dict[Key, set[Key]] = {name: set() for name in known if name[0] in ("app", "pypi")}
    extras: dict[Key, set[str]] = {name: {""} for name in found}
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for requirement in _requirements(known[name].requires):
            one = ("pypi", canonicalize_name(requirement.name))
            if one not in found or not _applies(requirement, environment, extras[name]):
                continue
            found[name].add(one)
            if not requirement.extras <= extras[one]:
                extras[one] |= requirement.extras
                waiting.append(one)
    return found


def _requirements(texts: Iterable[str]) -> Iterator[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:
            # Metadata of old tools may hold what no tool reads.
            continue


def _applies(
    requirement: Requirement, environment: Mapping[str, str], extras: Iterable[str]
) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**environment, "extra": one}) for one in extras)


def _environment(components: Iterable[Component], platform: str) -> dict[str, str]:
    """The values of all markers (PEP 508), none of which is that of the builder's machine."""
    debs = [re.fullmatch(r"python(3\.\d+)", one.name) for one in components if one.kind == "deb"]
    version = next((match[1] for match in debs if match), "3.13")
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{version}.0",
        "os_name": "posix",
        "platform_machine": _MACHINES.get(platform.rpartition("/")[2], ""),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{version}.0",
        "python_version": version,
        "sys_platform": "linux",
    }
