"""Resolves the manifests in 3rdparty/debian with apt's own solver. `make lock` writes the locks.

apt works in a private folder, for any architecture, without root, and does not touch the machine's
packages, sources and lists. Signatures are verified with the machine's debian-archive-keyring.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ops.build.debian import lock, manifest
from ops.build.debian.apt import Apt, AptError


def resolve(wanted: list[manifest.Manifest], bases: list[str]) -> dict[Path, str]:
    """The text of each manifest's lock, by its path. Raises AptError."""
    locked: dict[Path, list[lock.Package]] = {one.lock: [] for one in wanted}
    pairs = sorted({(one.suite, arch) for one in wanted for arch in one.architectures})

    def solved(pair: tuple[str, str]) -> list[tuple[Path, list[lock.Package]]]:
        suite, architecture = pair
        print(f"debian: reading {suite} for {architecture}", file=sys.stderr, flush=True)
        mine = [one for one in wanted if one.suite == suite and architecture in one.architectures]
        with Apt(suite, architecture, bases) as apt:
            return [(one.lock, _solve(apt, one)) for one in mine]

    # They wait for mirrors most of the time.
    with ThreadPoolExecutor(max_workers=4) as pool:
        for found in pool.map(solved, pairs):
            for path, packages in found:
                locked[path] += packages
    return {one.lock: lock.render(locked[one.lock], one.path.name) for one in wanted}


def _solve(apt: Apt, wanted: manifest.Manifest) -> list[lock.Package]:
    try:
        return apt.solve(wanted.packages, wanted.exclude)
    except AptError as error:
        raise AptError(f"{wanted.path.name} ({apt.architecture}): {error}") from None
