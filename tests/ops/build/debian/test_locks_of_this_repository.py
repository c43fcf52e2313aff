"""Every manifest has its lock, which holds the manifest's packages and no URL."""

from pathlib import Path

import pytest

from ops.build.debian import lock, manifest

FOLDER = Path(__file__).parents[4] / "3rdparty/debian"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_lock_holds_the_packages_of_its_manifest(path: Path) -> None:
    wanted = manifest.read(path)
    locked = lock.read(wanted.lock)
    for architecture in wanted.architectures:
        names = {package.name for package in locked if package.architecture == architecture}
        assert names >= set(wanted.packages)
        assert not names & set(wanted.exclude)
    assert "://" not in wanted.lock.read_text(encoding="utf-8")
