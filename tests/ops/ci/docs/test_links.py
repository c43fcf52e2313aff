"""Links of all pages lead somewhere, and the commands and files that pages name are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.ops.docs.pages import anchors, commands, in_tree, parts

PAGES = sorted(
    path for path in Path().rglob("*.md") if not any(one.startswith(".") for one in path.parts)
)
#: Where pages take the names of files from, beside the top folder and their own.
BASES = ("", "src/fastapi_base/", "ops/", "tests/", "docs/", "3rdparty/")
#: Folders of what is made, not kept.
MADE = {"dist", ".local"}
#: Goals of Pants that pages name.
GOALS = {
    "check", "export", "fix", "fmt", "lint", "list", "package", "publish", "run", "tailor", "test",
}  # fmt: skip


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Each link of a page to a file or heading that is not there."""
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
    """Each `make TARGET` and `./pants GOAL WHERE` of a page that would not work."""
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for line in (line for part in parts(text) for line in commands(part)):
        if made := re.match(r"make((?: [a-z][a-z-]*)+)(?= [A-Z]|\s*$)", line):
            for name in set(made[1].split()) - targets:
                yield f"{page}: {line}: the Makefile has no {name!r}"
        if asked := re.search(r"(?:^|\s)(?:\./pants|nix run \.#pants --) (.*)", line):
            yield from (f"{page}: {line}: {wrong}" for wrong in _wrong(asked[1]))


def _wrong(arguments: str) -> Iterator[str]:
    """What is wrong with the arguments of a call of Pants."""
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
    """Each name in code that begins with a folder of the repository, and is not in it."""
    bases = [*BASES, f"{page.parent}/"]
    for part in parts(text):
        for name in part.code:
            if not re.fullmatch(r"\.?\w[\w.-]*/[\w./*-]*", name):
                continue
            first = name.split("/")[0]
            if first in MADE:
                continue
            there = [base for base in bases if Path(base, first).is_dir()]
            if there and not any(in_tree(base + name.replace("NAME", "*")) for base in there):
                yield f"{page}: there is no {name}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page, page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_and_files_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = Path("Makefile").read_text(encoding="utf-8")
    assert [*wrong_commands(page, text, makefile), *missing_files(page, text)] == []


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
def test_a_broken_link_is_told(text: str, told: str) -> None:
    (found,) = broken_links(Path("README.md"), f"# Title\n\n{text}\n")
    assert told in found


@pytest.mark.parametrize(
    "text",
    [
        "[a](#title)",
        "[a](docs/architecture.md#the-plan)",
        "[a](https://example.com/#b)",
        "[a](docs/)",
    ],
)
def test_a_good_link_is_not_told(text: str) -> None:
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
def test_a_wrong_command_is_told(text: str, told: str) -> None:
    (found,) = wrong_commands(Path("README.md"), text, "fmt: ## format\n")
    assert told in found


@pytest.mark.parametrize("name", ["src/no.py", "ops/no/", "core/no.py", "tests/*/no.py"])
def test_a_missing_file_is_told(name: str) -> None:
    (found,) = missing_files(Path("README.md"), f"`{name}`")
    assert name in found


def test_what_is_no_file_is_not_told() -> None:
    text = "`application/json` `core/config.py` `docs/*.md` `ops/plugins` `dist/x.pex` `fmt/lint`"
    assert list(missing_files(Path("README.md"), text)) == []
