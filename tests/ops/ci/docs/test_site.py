"""The site that `./pants package docs` builds: complete, same-origin, reproducible."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

SITE = Path("docs").absolute()
ZENSICAL = Path("ops.ci.docs/zensical.pex").absolute()
#: Attributes by which a browser fetches resources on its own.
FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
}


class Links(HTMLParser):
    """Links of a page as (tag, attribute, URL), and its link targets."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[tuple[str, str, str]] = []
        self.names: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href"} and value:
                self.links.append((tag, name, value))
            elif name == "id" and value:
                self.names.add(value)


def pages() -> list[Path]:
    found = sorted(SITE.rglob("*.html"))
    assert len(found) > 15, "the site is not there: ./pants package docs"
    return found


def dangling(page: Path) -> Iterator[str]:
    """Links of a page within the site that do not resolve."""
    for _, _, address in Links(page).links:
        url = urlsplit(address)
        if url.scheme or url.netloc or page.name == "404.html":
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        target = target / "index.html" if target.is_dir() else target
        if not target.exists() or not anchored(target, url.fragment):
            yield f"{page.relative_to(SITE)}: {address}"


def anchored(page: Path, name: str) -> bool:
    """Whether a page has this anchor; the theme's own script creates those with `__`."""
    if page.suffix != ".html" or name.startswith("__"):
        return True
    return not name or name in Links(page).names


def test_all_links_resolve() -> None:
    assert [link for page in pages() for link in dangling(page)] == []


def test_nothing_is_fetched_from_other_origins() -> None:
    for page in pages():
        for tag, attribute, address in Links(page).links:
            if (tag, attribute) in FETCHED:
                assert not urlsplit(address).netloc, f"{page}: {address}"
    for sheet in SITE.rglob("*.css"):
        assert "@import" not in sheet.read_text(encoding="utf-8")
        assert "url(http" not in sheet.read_text(encoding="utf-8")


def test_tour_is_one_code_block() -> None:
    text = (SITE / "index.html").read_text(encoding="utf-8")
    assert "```" not in text
    assert 'class="language-bash highlight"' in text


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The pages and the configuration as the build lays them out."""
    shutil.copytree("docs", tmp_path / "pages/docs", ignore=shutil.ignore_patterns("*.html"))
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"):
        shutil.copy(name, tmp_path / "pages")
    for client in Path("clients").glob("*/README.md"):
        (tmp_path / "pages" / client).parent.mkdir(parents=True)
        shutil.copy(client, tmp_path / "pages" / client)
    shutil.copy("docs/zensical.toml", tmp_path)
    return tmp_path


def build(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ZENSICAL, "build", "--strict", "--config-file", "zensical.toml"],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_build_in_another_directory_is_identical(sources: Path) -> None:
    done = build(sources, TZ="Pacific/Kiritimati", PYTHONHASHSEED="7", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    made = sorted(path for path in (sources / "site").rglob("*.html"))
    assert len(made) == len(pages())
    for path in made:
        assert path.read_bytes() == (SITE / path.relative_to(sources / "site")).read_bytes()


@pytest.mark.parametrize("link", ["docs/no.md", "docs/security.md#no"])
def test_broken_link_fails_the_build(sources: Path, link: str) -> None:
    readme = sources / "pages/README.md"
    readme.write_text(readme.read_text(encoding="utf-8") + f"\n[broken]({link})\n")
    done = build(sources)
    assert done.returncode != 0
    assert "strict" in done.stderr
