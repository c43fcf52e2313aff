"""Parses a Markdown page: headings, links, names in code, code blocks."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@dataclass
class Part:
    """A heading with its content up to the next heading. Texts are verbatim."""

    level: int
    title: str
    links: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    #: The language line of each code block, and its text.
    blocks: list[tuple[str, str]] = field(default_factory=list)
    paragraphs: int = 0
    items: int = 0
    rows: int = 0


def parts(text: str) -> list[Part]:
    """The parts of a page; the first has level 0 and holds the content before all headings."""
    found = [Part(0, "")]
    tokens = _MARKDOWN.parse(text)
    for place, token in enumerate(tokens):
        part = found[-1]
        match token.type:
            case "heading_open":
                found.append(Part(int(token.tag[1:]), tokens[place + 1].content))
            case "inline":
                _inline(token, found[-1])
            case "fence" | "code_block":
                part.blocks.append((token.info, token.content))
            case "paragraph_open":
                part.paragraphs += 1
            case "list_item_open":
                part.items += 1
            case "tr_open":
                part.rows += 1
            case _:
                pass
    return found


def _inline(token: Token, part: Part) -> None:
    for child in token.children or ():
        if child.type == "code_inline":
            part.code.append(child.content)
        elif target := child.attrGet("href") or child.attrGet("src"):
            part.links.append(str(target))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub and the site give to the headings of a page."""
    seen: Counter[str] = Counter()
    found = set()
    for part in parts(text)[1:]:
        bare = re.sub(r"[`*]|\[|\]\([^)]*\)", "", part.title).strip().lower()
        name = re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def commands(part: Part) -> list[str]:
    """The lines that a reader types: in inline code and in blocks, without comments."""
    lines = list(part.code)
    for _, text in part.blocks:
        lines += text.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def in_tree(name: str) -> bool:
    """Whether the repository has a file or directory of this name, which may contain `*`."""
    path = name.rstrip("/")
    return any(Path().glob(path)) if "*" in path else Path(path).exists()
