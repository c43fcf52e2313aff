"""Write the locks of the manifests in 3rdparty/debian with apt's own solver.

    python -m ops.build.debian.resolve [MANIFEST.toml ...]

apt works in a private folder, for any architecture, without root, and does not touch the machine's
packages, sources and lists. Signatures are verified with the machine's debian-archive-keyring.
"""

import argparse
import sys
from pathlib import Path

from ops.build.debian import lock, manifest, mirrors
from ops.build.debian.apt import Apt, AptError

MANIFESTS = Path("3rdparty/debian")


def resolve(wanted: list[manifest.Manifest], bases: list[str]) -> dict[Path, str]:
    """The text of each manifest's lock, by its path. Raises AptError."""
    locked: dict[Path, list[lock.Package]] = {one.lock: [] for one in wanted}
    pairs = sorted({(one.suite, arch) for one in wanted for arch in one.architectures})
    for suite, architecture in pairs:
        print(f"debian: reading {suite} for {architecture}", file=sys.stderr, flush=True)
        with Apt(suite, architecture, bases) as apt:
            for one in wanted:
                if one.suite == suite and architecture in one.architectures:
                    try:
                        locked[one.lock] += apt.solve(one.packages, one.exclude)
                    except AptError as error:
                        raise AptError(f"{one.path} ({architecture}): {error}") from None
    return {one.lock: lock.render(locked[one.lock], one.path.name) for one in wanted}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.build.debian.resolve", description=__doc__)
    parser.add_argument("manifests", nargs="*", type=Path, help=f"default: all in {MANIFESTS}")
    chosen = parser.parse_args(arguments).manifests or sorted(MANIFESTS.glob("*.toml"))
    try:
        if not chosen:
            raise manifest.ManifestError(f"{MANIFESTS}: holds no manifest")
        locks = resolve([manifest.read(path) for path in chosen], mirrors.find())
    except (manifest.ManifestError, mirrors.MirrorError, AptError) as error:
        print(f"debian: {error}", file=sys.stderr)
        return 1
    for path, text in locks.items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if text != old:
            path.write_text(text, encoding="utf-8")
        print(f"debian: {path}: {'unchanged' if text == old else 'written'}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
