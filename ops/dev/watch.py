"""Runs the tests that a saved file affects, each time one is saved.

    make watch [ARGS=tests/unit]

ARGS names the folders or files whose tests run, separated by spaces. Tests run the nearest first,
until the first failure; saving again starts over. Ctrl-C ends it.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from watchfiles import DefaultFilter, watch

from ops.dev.affected import Imports

_FOLDERS = ("src", "tests", "ops")
_SHOWN = 5


def main(arguments: list[str]) -> int:
    """Takes the places of tests. Returns 2 if one does not exist, and 0 after Ctrl-C."""
    root = Path.cwd()
    places = [root / name for argument in arguments for name in argument.split()]
    places = places or [root / "tests/unit"]
    if missing := [place for place in places if not place.exists()]:
        print(f"make watch: {missing[0]} does not exist", file=sys.stderr)
        return 2
    imports = Imports(root)
    running: subprocess.Popen[bytes] | None = None
    shown = " ".join(str(place.relative_to(root)) for place in places)
    try:
        for changed in _saved(root):
            if not changed:
                _say(f"waiting for a saved file (tests of {shown}); Ctrl-C ends")
                continue
            _stop(running)
            for file in changed:
                imports.read(file)
                # It may be of another content of the same size, saved within the same second.
                for bytecode in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                    bytecode.unlink(missing_ok=True)
            near, far = (
                [
                    str(test.relative_to(root))
                    for test in imports.tests(changed, steps)
                    if any(test.is_relative_to(place) for place in places)
                ]
                for steps in (1, None)
            )
            names = ", ".join(sorted(file.name for file in changed))
            _say(f"{names}: {_listed(far)}")
            # The nearest alone: their result is there before the others are collected.
            running = _start(near, [test for test in far if test not in near])
    except KeyboardInterrupt:
        pass
    finally:
        _stop(running)
    return 0


def _saved(root: Path) -> Iterator[set[Path]]:
    """Sets of saved files; an empty one first, once the folders are watched."""
    folders = [root / name for name in _FOLDERS if (root / name).exists()]
    ready = False
    # An editor writes a file in a few steps, within the debounce time (in milliseconds).
    for changes in watch(
        *folders,
        watch_filter=DefaultFilter(),
        debounce=200,
        step=30,
        rust_timeout=300,
        yield_on_timeout=True,
        raise_interrupt=True,
    ):
        if changes or not ready:
            ready = True
            yield {Path(name) for _, name in changes}


def _start(*groups: list[str]) -> subprocess.Popen[bytes] | None:
    """Run groups of tests one after the other, until one fails."""
    command = [sys.executable, "-m", "pytest", "-q", "-x"]
    steps = " && ".join(shlex.join([*command, *group]) for group in groups if group)
    return subprocess.Popen(["sh", "-c", steps], start_new_session=True) if steps else None


def _listed(tests: list[str]) -> str:
    if not tests:
        return "no test depends on it"
    more = f" and {len(tests) - _SHOWN} more" if len(tests) > _SHOWN else ""
    return f"{', '.join(tests[:_SHOWN])}{more}"


def _stop(running: subprocess.Popen[bytes] | None) -> None:
    """End a run of tests that is not over, with the servers that it started."""
    if running is None or running.poll() is not None:
        return
    os.killpg(running.pid, signal.SIGINT)
    try:
        running.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _say(text: str) -> None:
    print(f"watch {time.strftime('%H:%M:%S')}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
