"""A layer of a root file system: locked Debian packages, and what no maintainer script makes here."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ops.debian.lock import Package
from ops.oci import accounts, bytecode, debs
from ops.oci.tree import DIRECTORY_MODE, Entry, Tree, TreeError, normal_path

_CERTIFICATES = "usr/share/ca-certificates/"
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Rootfs:
    """What to make. ``directories`` and ``users`` as in the target type ``oci_rootfs``.

    ``skeleton`` asks for what only the lowest layer has: the links of a merged /usr, /tmp, users.
    """

    name: str
    skeleton: bool = False
    users: Mapping[str, int] = field(default_factory=dict)
    known_users: Mapping[str, int] = field(default_factory=dict)
    directories: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    compile: tuple[str, ...] = ()


def build(what: Rootfs, packages: Iterable[tuple[Package, Path]]) -> Tree:
    """Put the packages' files, links, users and directories together. Raises TreeError."""
    tree = Tree()
    if what.skeleton:
        for entry in _skeleton(what.users):
            tree.add(entry)
    for package, file in packages:
        for entry in (
            *debs.entries(package, file, what.exclude),
            *debs.record(package, file),
        ):
            # Debian's own defaults make way for the image's: passwd, nsswitch.conf.
            if what.skeleton and entry.kind != "directory" and _is_ours(tree, entry.path):
                continue
            tree.add(entry)
    _certificates(tree)
    for path, target in what.links.items():
        tree.add(Entry(path, "symlink", 0o777, target=target, origin=f"links of {what.name}"))
    for path, source in what.files.items():
        content = Path(source).read_bytes()
        tree.add(Entry(path, "file", 0o644, content=content, origin=f"files of {what.name}"))
    for path, rule in what.directories.items():
        tree.replace(_directory(what, path, rule))
    for folder in what.compile:
        bytecode.add(tree, normal_path(folder, what.name))
    return tree


def names(text: str) -> dict[str, int]:
    """Users of a JSON object. Raises TreeError when a number is none."""
    data = json.loads(text)
    return {str(name): int(number) for name, number in data.items()}


def _skeleton(users: Mapping[str, int]) -> Iterable[Entry]:
    origin = "skeleton"
    for path, target in {**debs.MERGED, "var/run": "/run", "var/lock": "/run/lock"}.items():
        yield Entry(path, "symlink", 0o777, target=target, origin=origin)
    for path, mode in {
        "dev": 0o755,
        "etc": 0o755,
        "home": 0o755,
        "proc": 0o555,
        "run": 0o755,
        "run/lock": 0o1777,
        "sys": 0o555,
        "tmp": 0o1777,
        "usr/bin": 0o755,
        "usr/lib": 0o755,
        "usr/lib64": 0o755,
        "usr/sbin": 0o755,
        "var/tmp": 0o1777,
    }.items():
        yield Entry(path, "directory", mode, origin=origin)
    yield from accounts.entries(users)


def _is_ours(tree: Tree, path: str) -> bool:
    there = tree.get(path)
    return there is not None and there.origin in ("skeleton", accounts.ORIGIN)


def _certificates(tree: Tree) -> None:
    """The bundle that update-ca-certificates(8) would write, in the order of the names."""
    found = [e for e in tree if e.path.startswith(_CERTIFICATES) and e.path.endswith(".crt")]
    if not found:
        return
    bundle = b"".join(entry.content.strip() + b"\n" for entry in found)
    tree.add(Entry(_BUNDLE, "file", 0o644, content=bundle, origin="ca-certificates"))
    for path in ("etc/ssl/cert.pem", "usr/lib/ssl/cert.pem"):
        target = "/" + _BUNDLE
        tree.add(Entry(path, "symlink", 0o777, target=target, origin="ca-certificates"))


def _directory(what: Rootfs, path: str, rule: str) -> Entry:
    """A directory of a rule such as ``postgres 0700``: owner, and mode where it is not 0755."""
    origin = f"directories of {what.name}"
    owner, _, mode = rule.partition(" ")
    users = {"root": 0, **what.known_users, **what.users}
    if owner not in users:
        raise TreeError(
            f"{origin}: /{path} is to belong to {owner!r}, who is no user of the base; "
            f"known are {', '.join(sorted(users))}"
        )
    try:
        bits = int(mode, 8) if mode else DIRECTORY_MODE
    except ValueError:
        raise TreeError(f"{origin}: mode {mode!r} of /{path} is not octal, as 0700 is") from None
    normal = normal_path(str(PurePosixPath(path)), origin)
    return Entry(normal, "directory", bits, users[owner], users[owner], origin=origin)
