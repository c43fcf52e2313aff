"""Locks are parsed strictly: errors are reported by file, line and field."""

from pathlib import Path

import pytest

from ops.build.debian.lock import LockError, Package, parse, read, render

DIGEST = "a" * 64
LINE = f"amd64 hello 2.10-3 100 {DIGEST} pool/main/h/hello_2.10-3_amd64.deb"
HELLO = Package("amd64", "hello", "2.10-3", 100, DIGEST, "pool/main/h/hello_2.10-3_amd64.deb")


def test_lock_round_trips_and_is_sorted() -> None:
    arm = Package("arm64", "abc", "1:1.0~rc1+b2-1", 5, DIGEST, "pool/main/a.deb")
    text = render([arm, HELLO], "x.toml")
    assert parse(text) == [HELLO, arm]
    assert text == render([HELLO, arm], "x.toml")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{LINE} more", "7 fields where six"),
        (LINE.replace("amd64 ", "mips ", 1), "architecture 'mips'"),
        (LINE.replace("hello ", "Hello ", 1), "'Hello'"),
        (LINE.replace("2.10-3 ", "v2 ", 1), "'v2' of 'hello' is not a version"),
        (LINE.replace(" 100 ", " -1 "), "size '-1' of hello"),
        (LINE.replace(DIGEST, "A" * 64), "64 lower-case"),
        (LINE.replace("pool/", "../pool/"), "path '../pool/"),
        (LINE.replace("pool/", "/pool/"), "path '/pool/"),
        (LINE.replace("pool/", "http://host/pool/"), "path 'http://host/"),
        (f"{LINE}\n{LINE}", "twice for amd64"),
        ("# nothing", "holds no package"),
    ],
)
def test_invalid_line_is_named(line: str, said: str) -> None:
    with pytest.raises(LockError, match=r"^x\.lock") as caught:
        parse(line, "x.lock")
    assert said in str(caught.value)


def test_missing_lock_explains_how_to_create_it(tmp_path: Path) -> None:
    with pytest.raises(LockError, match="make lock"):
        read(tmp_path / "none.lock")
