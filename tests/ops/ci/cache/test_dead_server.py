"""A cache server that is down or hangs only slows a build down."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.ci.cache.checkouts import checkout

#: No server listens there: the port of the discard service, on loopback.
NOWHERE = "grpc://127.0.0.1:9"


def test_without_a_server_everything_is_built_locally(tmp_path: Path) -> None:
    alone = checkout(tmp_path / "alone", NOWHERE)
    run = alone.build()
    assert run.figures["remote_cache_requests_cached"] == 0
    assert "Failed to read from remote cache" in run.output
    assert alone.greeting() == "hello\n"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kept = []
        end = threading.Event()

        def accept() -> None:
            listener.settimeout(0.2)
            while not end.is_set():
                try:
                    kept.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"grpc://127.0.0.1:{listener.getsockname()[1]}"
        end.set()
        thread.join()
        for connection in kept:
            connection.close()


def test_hanging_server_only_slows_the_build(silent: str, tmp_path: Path) -> None:
    alone = checkout(tmp_path / "alone", silent)
    run = alone.build()
    assert run.figures["remote_cache_requests_cached"] == 0
    assert alone.greeting() == "hello\n"
