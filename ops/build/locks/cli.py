"""Refresh the lockfiles, or change one package in them.

    make lock                         refresh everything to the newest versions that fit
    make lock KEEP=1                  keep each pin that still fits; only for changed manifests
    make lock ADD=stripe              add a library of the service; ADD='stripe>=12,<13' chooses
    make lock ADD=pytest-mock TO=runner   add it elsewhere: TO is one of the names below
    make lock UPGRADE=jinja2          upgrade packages in each lock that has them; =jinja2==3.1.6
    make lock REMOVE=stripe           remove requirements, and what only they need
    make lock DEB=redis               refresh the Debian packages of a manifest, or of all locks
                                      that hold a package (DEB=libssl3t64)

Either everything is written or nothing. A lock holds names, versions and hashes, and no URL.
"""

import argparse
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

from ops.build.locks import console, debian, npm
from ops.build.locks.changes import Change
from ops.build.locks.errors import LockingError
from ops.build.locks.locks import LOCKS, PLACES, pins
from ops.build.locks.resolver import Resolver
from ops.build.locks.workspace import Workspace, opened

ROOT = Path(__file__).parents[3]

#: Names and versions of packages.
type Pins = set[tuple[str, str]]


def main(arguments: list[str], advise: Callable[[Pins], None]) -> int:
    """Returns 0, 1 with a sentence if nothing was changed, or 130 after Ctrl-C.

    ``advise`` gets the new pins, once they are written.
    """
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    work = None
    try:
        with opened(ROOT) as work:
            _change(work, options)
            written = work.commit()
    except LockingError as error:
        console.say(f"{error}\nlock: nothing was changed")
        return 1
    except KeyboardInterrupt:
        done = work is not None and work.written
        console.say(f"interrupted; {'everything was written' if done else 'nothing was changed'}")
        return 130
    if changed := _summarise(work, written):
        advise(changed)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make lock",
        description=__doc__,
        epilog="TO: " + "; ".join(_place(*item) for item in PLACES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_mutually_exclusive_group()
    for name in ("ADD", "UPGRADE", "REMOVE", "DEB"):
        actions.add_argument(f"--{name}", dest=name.lower(), help=argparse.SUPPRESS)
    parser.add_argument("--TO", dest="to", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("add", "upgrade", "remove", "deb", "to"):
        if getattr(options, name) is not None and not getattr(options, name).strip():
            parser.error(f"{name.upper()} is empty; give a name, or see `make lock ARGS=--help`")
    if options.to and not (options.add or options.upgrade or options.remove):
        parser.error("TO belongs to ADD, UPGRADE or REMOVE")
    return options


def _place(name: str, where: tuple[str, str | None]) -> str:
    return f"{name} ({where[0]}{f', {where[1]}' if where[1] else ''})"


def _change(work: Workspace, options: argparse.Namespace) -> None:
    if options.deb:
        debian.refresh(work, options.deb.split())
        return
    resolver = Resolver(ROOT, work.folder)
    change = Change(work, resolver)
    if options.add:
        change.add(options.add, options.to or "app")
    elif options.upgrade:
        change.upgrade(options.upgrade.split(), options.to)
    elif options.remove:
        change.remove(options.remove.split(), options.to)
    else:
        keep = os.environ.get("KEEP", "") not in ("", "0")
        for number, lock in enumerate(LOCKS, 1):
            console.say(f"resolving {lock.path} ({number} of {len(LOCKS)})")
            resolver.compile(lock, keep=keep)
        npm.refresh(work, keep=keep)
        debian.refresh_all(work, keep=keep)


def _summarise(work: Workspace, written: Iterable[str]) -> Pins:
    """Say which pins changed; returns the new ones."""
    changed: Pins = set()
    for name in written:
        if not name.endswith(".lock") or name.startswith("3rdparty/debian"):
            console.say(f"written: {name}")
            continue
        old, new = pins(work.before(name)), pins(work.root.joinpath(name).read_text("utf-8"))
        for package in sorted(old.keys() | new.keys()):
            before, after = old.get(package), new.get(package)
            if before != after:
                console.say(f"{name}: {package} {before or '(new)'} -> {after or '(removed)'}")
        changed |= {(package, now) for package, now in new.items() if old.get(package) != now}
    if not written:
        console.say("nothing had to change")
    return changed
