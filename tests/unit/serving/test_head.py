"""Which Host fields are valid, and how much of them is cached."""

import tracemalloc

import pytest

from fastapi_base.serving.head import is_host


@pytest.mark.parametrize(
    ("host", "valid"),
    [
        (b"api.example.com", True),
        (b" \tapi.example.com:8000\t ", True),
        (b"[2001:db8::7]:65535", True),
        (b"a" * 255 + b":65535", True),
        (b"", False),
        (b"a" * 256, False),
        (b"api.example.com:65536", False),
        (b"[2001:db8::7", False),
        (b"[1:2]", False),
        (b"user@api.example.com", False),
        (b"a" * 30_000, False),
    ],
)
def test_hosts(host: bytes, valid: bool) -> None:
    assert is_host(host) is valid


def test_long_values_are_not_cached() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(1024):
            assert not is_host(b"%d" % n + b"a" * 30_000)
            # Whitespace around a value is not cached.
            assert is_host(b"host-%d" % n + b" " * 30_000)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
