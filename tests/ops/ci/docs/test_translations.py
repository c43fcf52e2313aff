"""Translations of the README have the same sections, commands, links and tables as the original."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.ops.ci.docs.pages import Part, parts

ENGLISH = Path("README.md")
TRANSLATIONS = sorted(Path("docs").glob("README-*.md"))
EDITIONS = {str(page) for page in (ENGLISH, *TRANSLATIONS)}


def outline(part: Part, page: Path) -> dict[str, Any]:
    """What is the same in every language. Comments in code may be translated."""
    links = Counter(where(link, page) for link in part.links)
    return {
        "level of the heading": part.level,
        "names in code": Counter(part.code),
        "blocks of code": [(info.strip(), bare(text)) for info, text in part.blocks],
        "links": {link: count for link, count in links.items() if link not in EDITIONS},
        "paragraphs, items, rows": (part.paragraphs, part.items, part.rows),
    }


def where(link: str, page: Path) -> str:
    """The target of a link: a URL, or a file relative to the root."""
    if "://" in link:
        return link
    return os.path.normpath(page.parent / link.partition("#")[0])


def bare(text: str) -> list[str]:
    """Lines of code without comments."""
    lines = [re.sub(r"(^|\s+)# .*", "", line).rstrip() for line in text.splitlines()]
    return [line for line in lines if line]


def lags(english: str, translated: str, page: Path) -> list[str]:
    """The places where a translation differs from the English text."""
    ours, theirs = parts(english), parts(translated)
    found = []
    for mine, other in zip(ours, theirs, strict=False):
        one, two = outline(mine, ENGLISH), outline(other, page)
        found += [
            f'{page}, "{other.title}" ("{mine.title}"): {name}: {one[name]} is {two[name]} there'
            for name in one
            if one[name] != two[name]
        ]
    if len(ours) != len(theirs):
        found.append(f"{page} has {len(theirs) - 1} headings, {ENGLISH} has {len(ours) - 1}")
    return found


@pytest.mark.parametrize("page", TRANSLATIONS, ids=str)
def test_translation_is_up_to_date(page: Path) -> None:
    english = ENGLISH.read_text(encoding="utf-8")
    assert lags(english, page.read_text(encoding="utf-8"), page) == []


@pytest.mark.parametrize("page", [ENGLISH, *TRANSLATIONS], ids=str)
def test_editions_link_to_each_other(page: Path) -> None:
    links = [link for part in parts(page.read_text(encoding="utf-8")) for link in part.links]
    assert EDITIONS - {str(page)} <= {where(link, page) for link in links}


SAMPLE = """# Title

Text with `make up` and [a link](docs/data.md).

## Build

```bash
make up   # runs it
```

| a | b |
|---|---|
| c | d |
"""
PAGE = Path("docs/README-xx.md")
TRANSLATED = (
    SAMPLE.replace("Title", "Titel")
    .replace("Text with", "Texte avec")
    .replace("# runs it", "# le lance")
    .replace("docs/data.md", "data.md")
)


def test_faithful_translation_passes() -> None:
    assert lags(SAMPLE, TRANSLATED, PAGE) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("make up   #", "make up RELOAD=1   #", "blocks of code"),
        ("`make up`", "`make test`", "names in code"),
        ("| c | d |\n", "| c | d |\n| e | f |\n", "rows"),
        ("## Build", "### Build", "level of the heading"),
        ("(docs/data.md)", "(docs/mail.md)", "links"),
        ("## Build", "New paragraph.\n\n## Build", "paragraphs"),
        ("## Build", "## More\n\n## Build", "headings"),
    ],
)
def test_parts_missing_in_the_translation_are_reported(old: str, new: str, told: str) -> None:
    assert old in SAMPLE
    assert told in "\n".join(lags(SAMPLE.replace(old, new), TRANSLATED, PAGE))
