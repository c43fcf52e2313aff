"""Reads the paragraphs of control files and apt sources (deb822(5))."""

from collections.abc import Iterator


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """The fields of each paragraph, by their lower-case names; comments are omitted.

    Continuation lines are part of the value, as they are in the text.
    """
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if not line.strip():
            if found:
                yield found
            found, name = {}, ""
        elif line[:1].isspace() and name:
            found[name] += "\n" + line
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.lower()
            found[name] = value.strip()
    if found:
        yield found
