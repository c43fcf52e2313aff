"""Fixtures: mirrors of Debian packages on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.build.debian import samples


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[samples.Mirror]:
    with samples.serve(tmp_path / "mirror") as mirror:
        yield mirror


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[samples.Mirror]:
    with samples.serve(tmp_path / "snapshot") as mirror:
        yield mirror
