"""Adds, upgrades and removes one Python package, in a workspace."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from ops.build.locks import console, manifests, modules
from ops.build.locks.errors import LockingError
from ops.build.locks.locks import LOCKS, Lock, like, normal, numbers, of_manifest, pins, place
from ops.build.locks.resolver import Resolver
from ops.build.locks.workspace import Workspace

#: Where type stubs belong: nothing that ships imports them.
_STUBS = "test"


class Change:
    """One change of the Python locks. Nothing is written outside the workspace."""

    def __init__(self, work: Workspace, resolver: Resolver) -> None:
        self.work = work
        self.resolver = resolver

    def add(self, text: str, to: str) -> None:
        """Add a requirement, such as ``stripe>=12``, to the place ``to``. Raises LockingError."""
        manifest, section = place(to)
        wanted = manifests.parse(text)
        known = manifests.requirements(self.work.read(manifest))
        if wanted.key in known:
            raise LockingError(
                f"{wanted.name} is already in {manifest}, as '{known[wanted.key]}': edit that line"
                f" and run `make lock KEEP=1`, or run `make lock UPGRADE={wanted.name}`"
            )
        lock = of_manifest(manifest)
        wanted = replace(wanted, name=wanted.key)
        version = self._add(lock, wanted, section)
        if manifests.needs_bound(self.work.read(manifest), section) and not wanted.bounded:
            versions = ",".join(filter(None, (wanted.versions, manifests.bound(version))))
            wanted = replace(wanted, versions=versions)
            text = manifests.replace(self.work.read(manifest), wanted)
            self.work.write(manifest, text)
            # The same version, so its pins hold.
        console.say(f"{manifest}: + {wanted}")
        if to in ("app", "dev", "test"):
            self._introduce(lock, wanted, version)
        self._follow(lock)

    def upgrade(self, names: list[str], to: str | None) -> None:
        """Upgrade packages in each lock that has them, or in one. Raises LockingError."""
        chosen = LOCKS if to is None else (of_manifest(place(to)[0]),)
        everything = {name for lock in chosen for name in pins(self.work.read(lock.path))}
        for name in names:
            if (key := manifests.parse(name).key) not in everything:
                raise LockingError(f"no lock holds {name}{like(key, everything)}")
        for lock in chosen:
            here = pins(self.work.read(lock.path))
            mine = [name for name in names if manifests.parse(name).key in here]
            if mine:
                console.say(f"resolving {lock.path}")
                self.resolver.compile(lock, *mine)
                for name in mine:
                    self._tell_bound(lock, name, here)
            self._follow(lock)

    def remove(self, names: list[str], to: str | None) -> None:
        """Remove requirements, and what only they need. Raises LockingError."""
        for name in names:
            key = normal(name)
            chosen = LOCKS if to is None else (of_manifest(place(to)[0]),)
            texts = {lock: self.work.read(lock.manifest) for lock in chosen}
            holders = [lock for lock, text in texts.items() if key in manifests.requirements(text)]
            if not holders:
                raise LockingError(self._not_required(key, chosen))
            if len(holders) > 1:
                listed = ", ".join(lock.manifest for lock in holders)
                raise LockingError(f"{name} is in {listed}: choose one with TO=")
            (lock,) = holders
            text = texts[lock]
            console.say(f"{lock.manifest}: - {manifests.requirements(text)[key]}")
            text = manifests.remove(text, key)
            if lock == LOCKS[0]:
                text = self._forget(text, key)
            self.work.write(lock.manifest, text)
            console.say(f"resolving {lock.path}")
            self.resolver.compile(lock)
            self._follow(lock)

    def _add(self, lock: Lock, wanted: manifests.Requirement, section: str | None) -> str:
        """Compile with a requirement added, without lowering a pin; returns its version."""
        before = self.work.read(lock.path)
        text = self.work.read(lock.manifest)
        self.work.write(lock.manifest, manifests.add(text, wanted, section))
        console.say(f"resolving {lock.path}")
        self.resolver.compile(lock)
        now = pins(self.work.read(lock.path))
        for name, old in pins(before).items():
            if numbers(now.get(name, old)) < numbers(old):
                raise LockingError(
                    f"{wanted.name} {now[wanted.key]} conflicts with the pins: it needs {name}"
                    f" {now[name]}, and {lock.path} pins {old}. Choose another version of"
                    f" {wanted.name}, or give {name} a bound in its manifest first"
                )
        return now[wanted.key]

    def _introduce(self, lock: Lock, wanted: manifests.Requirement, version: str) -> None:
        """Make its modules importable for Pants and mypy."""
        with tempfile.TemporaryDirectory(prefix="lock-") as place_:
            folder = Path(place_)
            console.say(f"looking into {wanted.name} {version}")
            self.resolver.unpack(wanted.key, version, lock, folder)
            names = modules.found(folder)
            typed = modules.typed(folder, names)
        build = self.work.read(modules.BUILD)
        mapped = modules.map_modules(build, wanted.name, names)
        self.work.write(modules.BUILD, mapped)
        if mapped != build:
            console.say(f"{modules.BUILD}: modules of {wanted.name}: {', '.join(names)}")
        if wanted.key.startswith("types-") or not names:
            return
        if not typed and not self._add_stubs(lock, wanted.key):
            pyproject = modules.allow_untyped(self.work.read(modules.PYPROJECT), names)
            self.work.write(modules.PYPROJECT, pyproject)
            console.say(f"{modules.PYPROJECT}: mypy accepts that {', '.join(names)} has no types")
        console.say(f"import {' or '.join(names)}; `make venv` installs it")

    def _add_stubs(self, lock: Lock, key: str) -> bool:
        """Add the type stubs of a package, if there are any that fit."""
        stubs = f"types-{key}"
        manifest, section = place(_STUBS)
        before = {name: self.work.read(name) for name in (manifest, lock.path)}
        if stubs in pins(before[lock.path]):
            return True
        try:
            self._add(lock, manifests.Requirement(stubs), section)
        except LockingError:
            for name, text in before.items():
                self.work.write(name, text)
            return False
        console.say(f"{manifest}: + {stubs}, for mypy")
        return True

    def _forget(self, text: str, key: str) -> str:
        """Undo `_introduce`; returns the manifest without its stubs."""
        build = self.work.read(modules.BUILD)
        names = modules.mapped(build, key)
        self.work.write(modules.BUILD, modules.unmap(build, key))
        pyproject = modules.forbid_untyped(self.work.read(modules.PYPROJECT), names)
        self.work.write(modules.PYPROJECT, pyproject)
        pattern = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(map(re.escape, names))})\b", re.M)
        for folder in ("src", "tests", "ops"):
            for file in sorted((self.work.root / folder).rglob("*.py")):
                if pattern.search(file.read_text(encoding="utf-8")):
                    shown = file.relative_to(self.work.root)
                    console.say(f"note: {shown} still imports {' or '.join(names)}")
        return manifests.remove(text, f"types-{key}")

    def _follow(self, lock: Lock) -> None:
        """Compile the locks that share changed pins of this one."""
        now = pins(self.work.read(lock.path))
        for other in LOCKS:
            if other.constraints != lock.path:
                continue
            theirs = pins(self.work.read(other.path))
            if any(now.get(name, version) != version for name, version in theirs.items()):
                console.say(f"resolving {other.path}, which shares the changed pins")
                self.resolver.compile(other)

    def _tell_bound(self, lock: Lock, name: str, before: dict[str, str]) -> None:
        """Say why a package did not change."""
        key = manifests.parse(name).key
        now = pins(self.work.read(lock.path)).get(key, "")
        if now != before[key]:
            return
        newest = self.resolver.newest(key, lock.python)
        required = manifests.requirements(self.work.read(lock.manifest)).get(key)
        if numbers(newest) <= numbers(now):
            console.say(f"{key} {now} is the newest version")
        elif required and required.versions:
            console.say(
                f"{key} {now} stays: {newest} is the newest, and {lock.manifest} has '{required}'."
                " Raise the bound there to upgrade"
            )
        else:
            console.say(
                f"{key} {now} stays: {newest} is the newest, and another package forbids it"
            )

    def _not_required(self, key: str, chosen: tuple[Lock, ...]) -> str:
        known = {
            n for lock in chosen for n in manifests.requirements(self.work.read(lock.manifest))
        }
        if any(key in pins(self.work.read(lock.path)) for lock in chosen):
            return f"{key} is in no manifest: another package needs it, and it goes with that one"
        return f"no manifest has {key}{like(key, known)}"
