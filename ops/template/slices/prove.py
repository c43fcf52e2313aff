"""`make slices-check`: proves that the tree works without each slice, in scratch copies.

A copy without the slice, and without those that need it, is formatted, linted, type-checked,
imported and tested. `SLICE=a,b` chooses slices, each alone; `PRESET=minimal` proves the copy
without all slices that the preset leaves out.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ops.template.formatting import ruff
from ops.template.slices import presets
from ops.template.slices.manifest import SliceError, chosen, dependents, load
from ops.template.slices.remove import remove

#: Not part of a copy; also what Pants adds to the tree in which it runs a test.
NOT_COPIED = (
    *(".git", ".local", ".venv", ".pants.d", ".pids", "dist", "__pycache__"),
    *(".*_cache", "*.pex*"),
)
#: Tests that know the routes, scopes, tables, settings and pages, beside the unit tests.
TESTS = (
    *(
        f"tests/integration/migrations/test_migrations.py::test_{name}"
        for name in ("models_and_migrations_agree", "there_is_one_head")
    ),
    "tests/ops/ci/docs/test_links.py",
    "tests/ops/ci/docs/test_translations.py",
)
_SOURCE = re.compile(r"!?(?:\./|//)?[\w.-][\w./-]*\.(?:py|sh|toml)")
_APP = (
    "import importlib, sys; p = sys.argv[1]; importlib.import_module(p + '.cli.main');"
    " importlib.import_module(p + '.tasks.app');"
    " main = importlib.import_module(p + '.main'); main.create_app().openapi()"
)


def without(root: Path, target: Path, names: Iterable[str]) -> list[Path]:
    """Copy the tree to a new folder, without these slices; returns the removed files there.

    Raises SliceError, and FormatError if Ruff is not there.
    """
    shutil.copytree(root, target, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    listed = list(names)
    removed = remove(target, listed) if listed else []
    ruff.format_tree(target, ruff.program(root))
    return removed


def lint(tree: Path) -> str:
    """What Ruff reports, with the locked version; empty if nothing is wrong."""
    done = _run([str(ruff.program(tree)), "check", "--no-cache", "--quiet", "."], tree)
    return done.stdout if done.returncode else ""


def build_files(tree: Path) -> str:
    """The sources that BUILD files name and that do not exist."""
    return "\n".join(name for build in sorted(tree.rglob("BUILD")) for name in _absent(build, tree))


def app(tree: Path) -> str:
    """The error of importing the entry points and creating the OpenAPI description."""
    (package,) = (one.parent.name for one in tree.glob("src/*/main.py"))
    return _failure([sys.executable, "-c", _APP, package], tree)


def types(tree: Path, mypy: str) -> str:
    """What mypy reports."""
    options = ("--cache-dir", os.devnull, "--python-executable", sys.executable)
    return _failure([mypy, *options, "src", "tests"], tree, MYPYPATH="src:ops/build/plugins:.")


def tests(tree: Path, *selected: str) -> str:
    """The report of failed tests; embedded servers are used."""
    options = ("-q", "-p", "no:cacheprovider", "--show-capture=no")
    return _failure(
        [sys.executable, "-m", "pytest", *options, *selected], tree, TEST_SERVERS="embedded"
    )


def steps(mypy: str) -> dict[str, Callable[[Path], str]]:
    """All steps of the proof by name."""
    typed: dict[str, Callable[[Path], str]] = (
        {"types": lambda tree: types(tree, mypy)} if mypy else {}
    )
    return {
        "lint": lint,
        "build files": build_files,
        "app": app,
        **typed,
        "tests": lambda tree: tests(tree, "tests/unit", *TESTS),
    }


def main(arguments: list[str]) -> int:
    """Takes the path of mypy, a list of slices and a preset. Returns 1 if a step fails."""
    mypy, names, preset = (*arguments, "", "", "")[:3]
    root = Path.cwd()
    try:
        known = load(root)
        if preset:
            trees = {f"preset {preset}": presets.removed(known, preset, "")}
        else:
            every = chosen(names, known) if names else list(known)
            trees = {f"without {one}": [one, *dependents([one], known)] for one in every}
        failed = [title for title, gone in trees.items() if not _prove(root, title, gone, mypy)]
    except (SliceError, ruff.FormatError) as error:
        print(f"make slices-check: {error}", file=sys.stderr)
        return 2
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _prove(root: Path, title: str, gone: list[str], mypy: str) -> bool:
    with tempfile.TemporaryDirectory() as work:
        tree = Path(work) / "tree"
        without(root, tree, gone)
        for name, step in steps(mypy).items():
            start = time.monotonic()
            wrong = step(tree)
            result = "FAILED" if wrong else "ok"
            print(f"{title}: {name}: {result} ({time.monotonic() - start:.0f} s)", flush=True)
            if wrong:
                print(wrong, file=sys.stderr)
                return False
    return True


def _absent(build: Path, root: Path) -> Iterator[str]:
    """The sources that a BUILD file names and that do not exist. Paths in images are absolute."""
    for node in ast.walk(ast.parse(build.read_text(encoding="utf-8"))):
        name = node.value if isinstance(node, ast.Constant) else None
        if isinstance(name, str) and _SOURCE.fullmatch(name):
            path = name.lstrip("!").removeprefix("./").removeprefix("//")
            if not (build.parent / path).exists() and not (root / path).exists():
                yield f"{build.relative_to(root)}: {name}"


def _failure(command: list[str], tree: Path, **environ: str) -> str:
    done = _run(command, tree, **environ)
    return (done.stdout[-5000:] + done.stderr[-3000:]) if done.returncode else ""


def _run(command: list[str], tree: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the tree, whose modules are found before those of this one."""
    here = Path.cwd()
    others = [one for one in sys.path if one and Path(one) not in (here, here / "src")]
    places = [tree / "src", tree, tree / "ops/build/plugins", *map(Path, others)]
    path = os.pathsep.join(str(one.absolute()) for one in places)
    return subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
