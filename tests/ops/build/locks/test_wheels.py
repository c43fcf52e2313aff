import re
import tomllib
from pathlib import Path

from ops.build.locks import wheels
from ops.build.oci import wheel_files

LOCK = Path("3rdparty/python/app.lock")
PYLOCK = f"""
[[packages]]
name = "one"
[[packages.wheels]]
url = "https://host.example/a/one-1.0%2Blocal-py3-none-any.whl"
hashes = {{ sha256 = "{"1" * 64}" }}
[[packages.wheels]]
name = "one-1.0-cp313-cp313-manylinux_2_17_x86_64.whl"
url = "https://host.example/other"
hashes = {{ sha256 = "{"2" * 64}" }}
[[packages.wheels]]
url = "https://host.example/one-1.0-cp313-cp313-win_amd64.whl"
hashes = {{ sha256 = "{"3" * 64}" }}
[[packages.wheels]]
url = "https://host.example/one-1.0-py3-none-any.whl"
hashes = {{ sha256 = "{"4" * 64}" }}
"""


def test_list_has_the_allowed_wheels_for_linux_without_addresses() -> None:
    lock = "".join(f" --hash=sha256:{digit * 64}" for digit in "123")
    assert list(wheels.listed(tomllib.loads(PYLOCK), lock)) == [
        f"{'1' * 64}  one-1.0+local-py3-none-any.whl",
        f"{'2' * 64}  one-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
    ]


def test_list_in_the_repository_is_that_of_the_lock() -> None:
    lock, text = LOCK.read_text(), LOCK.with_suffix(".wheels").read_text()
    pinned = set(re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==(\S+)", lock, re.MULTILINE))
    files = wheel_files.read(text)
    stale = sorted(files.keys() - pinned)
    assert not stale, f"{stale}: `make lock KEEP=1` refreshes the list"
    allowed = set(re.findall(r"--hash=sha256:(\S+)", lock))
    assert {one for wheels in files.values() for _, one in wheels} <= allowed
    # Packages without a wheel for Linux are for other platforms.
    assert len(files) > len(pinned) * 0.9
