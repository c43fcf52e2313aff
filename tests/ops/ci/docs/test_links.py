"""Links of all pages resolve, and the commands, files and tests that pages name exist."""

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.ops.ci.docs.pages import anchors, commands, in_tree, parts

PAGES = sorted(
    path for path in Path().rglob("*.md") if not any(one.startswith(".") for one in path.parts)
)
#: Directories to which file names on pages are relative, besides the root and the page's own.
BASES = ("", "src/fastapi_base/", "ops/", "tests/", "docs/", "3rdparty/")
#: Directories of generated files.
MADE = {"dist", ".local"}
#: Files that the tutorial makes in another repository.
GENERATED = re.compile(r"src/shop/.*|[\w./]*/(test_)?orders?\.py")
#: Goals of Pants that pages name.
GOALS = {
    "check", "export", "fix", "fmt", "lint", "list", "package", "publish", "run", "tailor", "test",
}  # fmt: skip


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Each link of a page to a missing file or heading."""
    for part in parts(text):
        for link in part.links:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = page.parent / unquote(url.path) if url.path else page
            if not target.exists():
                yield f"{page}: {link}: there is no {target}"
            elif url.fragment and target.suffix == ".md":
                there = anchors(text if target == page else target.read_text(encoding="utf-8"))
                if url.fragment not in there:
                    yield f"{page}: {link}: {target} has no heading #{url.fragment}"


def wrong_commands(page: Path, text: str, makefile: str) -> Iterator[str]:
    """Each `make TARGET` and `./pants GOAL WHERE` of a page that would fail."""
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for line in (line for part in parts(text) for line in commands(part)):
        if made := re.match(r"make((?: [a-z][a-z-]*)+)(?= [A-Z]|\s*$)", line):
            for name in set(made[1].split()) - targets:
                yield f"{page}: {line}: the Makefile has no {name!r}"
        if asked := re.search(r"(?:^|\s)(?:\./pants|nix run \.#pants --) (.*)", line):
            yield from (f"{page}: {line}: {wrong}" for wrong in _wrong(asked[1]))


def _wrong(arguments: str) -> Iterator[str]:
    """The error in the arguments of a Pants call."""
    words = shlex.split(arguments.partition(" -- ")[0].removesuffix(" --"))
    plain = [word for word in words if not word.startswith("-")]
    goals = [word for word in plain if re.fullmatch(r"[a-z]+", word) and word in GOALS]
    if plain and not goals:
        yield f"no goal of {', '.join(sorted(GOALS))} is in it"
        return
    for word in plain:
        where = re.split(r"::?|#", word)[0].removeprefix("//")
        if word not in GOALS and not in_tree(where or "."):
            yield f"there is no {where}"


def missing_files(page: Path, text: str) -> Iterator[str]:
    """Each name in code that starts with a directory of the repository but does not exist."""
    bases = [*BASES, f"{page.parent}/"]
    for part in parts(text):
        for name in part.code:
            if not re.fullmatch(r"\.?\w[\w.-]*/[\w./*-]*", name):
                continue
            first = name.split("/")[0]
            if first in MADE or GENERATED.fullmatch(name):
                continue
            there = [base for base in bases if Path(base, first).is_dir()]
            if there and not any(in_tree(base + name.replace("NAME", "*")) for base in there):
                yield f"{page}: there is no {name}"


def missing_names(page: Path, text: str) -> Iterator[str]:
    """Each `path.py::name`, `::name` and `test_name` of a page that is not defined.

    `::name` is in the file that the page names before it, `test_name` in any file of tests.
    """
    for part in parts(text):
        file: Path | None = None
        for code in part.code:
            path, *names = code.split("::")
            if re.fullmatch(r"[\w./-]+/\w+\.py", path):
                there = [Path(base, path) for base in (*BASES, f"{page.parent}/")]
                file = next((one for one in there if one.is_file()), None)
            if re.fullmatch(r"test_\w+", code):
                missing = code not in _tests()
            elif re.fullmatch(r"test_[\w*]+\.py", code):
                missing = not any(Path("tests").rglob(code))
            elif re.fullmatch(r"([\w./-]+\.py)?(::\w+)+", code):
                missing = file is None or not _defines(file, names)
            else:
                continue
            if missing:
                yield f"{page}: there is no {code}"


def _defines(file: Path, names: Sequence[str]) -> bool:
    """Whether a module defines a function or class, or members of it."""
    body: Sequence[ast.AST] = ast.parse(file.read_text(encoding="utf-8")).body
    for name in names:
        found = [node for node in body if getattr(node, "name", None) == name]
        if not found:
            return False
        body = getattr(found[-1], "body", [])
    return True


@cache
def _tests() -> set[str]:
    """The names of all test functions."""
    pattern = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
    files = Path("tests").rglob("test_*.py")
    return {name for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_resolve(page: Path) -> None:
    assert list(broken_links(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_and_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = Path("Makefile").read_text(encoding="utf-8")
    assert [*wrong_commands(page, text, makefile), *missing_files(page, text)] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_named_tests_exist(page: Path) -> None:
    assert list(missing_names(page, page.read_text(encoding="utf-8"))) == []


def test_every_page_is_on_the_site() -> None:
    config = Path("docs/zensical.toml").read_text(encoding="utf-8")
    missing = [str(page) for page in PAGES if f'"{page}"' not in config]
    assert missing == [], "add these pages to nav in docs/zensical.toml"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a](docs/no.md)", "there is no docs/no.md"),
        ("![a](docs/no.svg)", "there is no docs/no.svg"),
        ("[a][b]\n\n[b]: docs/no.txt", "there is no docs/no.txt"),
        ("[a](#no)", "README.md has no heading #no"),
        ("[a](docs/architecture.md#no)", "docs/architecture.md has no heading #no"),
    ],
)
def test_broken_link_is_reported(text: str, told: str) -> None:
    (found,) = broken_links(Path("README.md"), f"# Title\n\n{text}\n")
    assert told in found


@pytest.mark.parametrize(
    "text",
    [
        "[a](#title)",
        "[a](docs/architecture.md#repository-layout)",
        "[a](https://example.com/#b)",
        "[a](docs/)",
    ],
)
def test_valid_link_is_not_reported(text: str) -> None:
    assert list(broken_links(Path("README.md"), f"# Title\n\n{text}\n")) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`make nothing`", "the Makefile has no 'nothing'"),
        ("```bash\nmake fmt nothing ARGS=1\n```", "the Makefile has no 'nothing'"),
        ("`./pants tset ::`", "no goal"),
        ("`./pants test tests/no::`", "there is no tests/no"),
        ("`nix run .#pants -- package ops/no:no`", "there is no ops/no"),
    ],
)
def test_invalid_command_is_reported(text: str, told: str) -> None:
    (found,) = wrong_commands(Path("README.md"), text, "fmt: ## format\n")
    assert told in found


@pytest.mark.parametrize("name", ["src/no.py", "ops/no/", "core/no.py", "tests/*/no.py"])
def test_missing_file_is_reported(name: str) -> None:
    (found,) = missing_files(Path("README.md"), f"`{name}`")
    assert name in found


def test_text_that_is_not_a_file_is_not_reported() -> None:
    text = "`application/json` `core/flags.py` `docs/*.md` `ops/images` `dist/x.pex` `fmt/lint`"
    assert list(missing_files(Path("README.md"), text)) == []


@pytest.mark.parametrize(
    "name",
    [
        "tests/ops/ci/docs/test_links.py::test_no",
        "ops/ci/docs/no.py::test_links_resolve",
        "::test_no",
        "::TestNo::test_no",
        "test_no_such_test",
        "test_no_such_file.py",
    ],
)
def test_missing_name_is_reported(name: str) -> None:
    text = f"`tests/ops/ci/docs/test_links.py::test_links_resolve` `{name}`"
    (found,) = missing_names(Path("docs/data.md"), text)
    assert name in found


def test_existing_name_is_not_reported() -> None:
    text = "`ops/ci/docs/test_links.py` `::test_links_resolve` `test_site.py` `test_*.py` `::`"
    assert list(missing_names(Path("docs/data.md"), f"{text} `test_links_resolve`")) == []
