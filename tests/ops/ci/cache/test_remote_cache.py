"""Pants with pants.remote.toml and a real server: cache hits, and resistance to corruption."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.ci.cache.checkouts import Checkout, Server, checkout, server


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Checkout]]:
    """A server, and the checkout that filled it."""
    folder = tmp_path_factory.mktemp("cache")
    with server(folder / "files") as running:
        first = checkout(folder / "first", running.address)
        run = first.build()
        assert run.figures["remote_cache_requests_cached"] == 0
        assert run.figures["remote_cache_write_successes"] > 0
        assert run.figures["remote_cache_write_errors"] == 0
        yield running, first


def test_second_checkout_runs_no_process(filled: tuple[Server, Checkout], tmp_path: Path) -> None:
    running, first = filled
    second = checkout(tmp_path / "second", running.address)
    run = second.build()
    assert run.figures["remote_cache_requests_uncached"] == 0
    assert run.figures["remote_cache_requests_cached"] == run.figures["remote_cache_requests"] > 0
    assert "cached remotely" in run.output
    assert second.products() == first.products()
    assert second.greeting() == "hello\n"


def test_reader_gets_entries_for_its_sources_and_writes_none(
    filled: tuple[Server, Checkout], tmp_path: Path
) -> None:
    running, _ = filled
    reader = checkout(tmp_path / "reader", running.address, text="other")
    run = reader.build("--no-remote-cache-write")
    assert run.figures["remote_cache_requests_cached"] > 0
    assert run.figures["remote_cache_requests_uncached"] > 0
    assert run.figures["remote_cache_write_attempts"] == 0
    assert reader.greeting() == "other\n"


@pytest.fixture
def spoilt(filled: tuple[Server, Checkout]) -> Iterator[tuple[Server, Checkout]]:
    """The filled server, whose files are all modified, truncated or missing until the test ends."""
    running, first = filled
    files = sorted(path for path in running.folder.rglob("*") if path.is_file())
    assert len(files) > 10
    good = {path: path.read_bytes() for path in files}
    for number, (path, content) in enumerate(good.items()):
        if number % 3 == 0:
            path.write_bytes(bytes(byte ^ 1 for byte in content))
        elif number % 3 == 1:
            path.write_bytes(content[: len(content) // 2])
        else:
            path.unlink()
    yield running, first
    for path, content in good.items():
        path.write_bytes(content)


def test_corrupted_entries_are_rebuilt(spoilt: tuple[Server, Checkout], tmp_path: Path) -> None:
    running, first = spoilt
    second = checkout(tmp_path / "second", running.address)
    run = second.build()
    assert run.figures["remote_cache_requests_cached"] < run.figures["remote_cache_requests"]
    assert second.products() == first.products()
    assert second.greeting() == "hello\n"
