"""The contents of a new repository: this tree under another name, with texts of its own.

What only a template needs is left out: `make new` itself, the tutorial, the translations of the
README, the sections about the template.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ops.template.new import names

DESCRIPTION = "An HTTP service on FastAPI, PostgreSQL, Redis and Celery."
# A new service has no callers yet, and so no release to compare with (ops/ci/contract).
_LEFT_OUT = re.compile(
    r"(tests/)?ops/template/new/.*|tests/ops/template/update/.*"
    r"|docs/(README-[a-z]+|tutorial)\.md|ops/ci/contract/release/(description\.json|declared\.toml)"
)
#: Its notice names the holders of the rights, and copies must include it unchanged.
_LICENSE = "LICENSE"
#: Sections of the README that are about the template.
TEMPLATE_SECTIONS = (
    *("Make it your product", "Features", "Compared with other templates", "Speed"),
    "When not to use it",
)
_UPDATES = """## Take updates of the template

The branch `base` contains only the template that this repository was created from
([decision 10](decisions/0010-new-services-by-renaming.md)). Never commit to it yourself. To adopt
later changes of the template:

    make update
    make fmt check test

The first command adds a commit to `base` and merges it into your branch, with the subjects of the
template's commits in the message. Conflicts are left for you to resolve; `git merge --abort` undoes
the merge. Slices that you removed stay removed. `FROM=` names the template's folder or URL, if it
is not where it was at the last time.

"""
_QUOTED = r'"(?:[^"\\]|\\.)*"'


def rename(text: str, name: str) -> str:
    """The text with every form of the package's name replaced."""
    for case in (str, str.upper):
        for form in (names.package, names.distribution):
            text = text.replace(case(form(names.OLD)), case(form(name)))
    return text


def write(root: Path, files: Iterable[str], target: Path, name: str) -> None:
    """Copy the files below ``root`` to ``target`` under the new name; modes and links are kept."""
    for one in files:
        if _LEFT_OUT.fullmatch(one):
            continue
        source, copy = root / one, target / rename(one, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.symlink_to(rename(str(source.readlink()), name))
            continue
        content = source.read_bytes()
        if one != _LICENSE:
            with contextlib.suppress(UnicodeDecodeError):
                content = rename(content.decode(), name).encode()
        copy.write_bytes(content)
        shutil.copymode(source, copy)


def describe(target: Path, name: str, description: str) -> None:
    """Replace the texts of the template in the copy by those of a new product."""
    quoted = json.dumps(description, ensure_ascii=False)

    def description_of(key: str) -> Callable[[str], str]:
        return lambda text: re.sub(
            rf"^( *{key} ?= ?){_QUOTED}", lambda found: found[1] + quoted, text, flags=re.MULTILINE
        )

    _edit(target / "pyproject.toml", description_of("description"))
    _edit(target / f"src/{names.package(name)}/main.py", description_of("summary"))
    _edit(target / "README.md", lambda text: _readme(text, name, description))
    _edit(target / "CHANGELOG.md", lambda text: re.sub(r"(?s)(## Unreleased\n).*", r"\1", text))
    _edit(target / "docs/developing.md", _with_updates)
    _edit(target / "docs/slices.md", _without_presets)
    _edit(target / "docs/zensical.toml", description_of("site_description"))
    _edit(target / "docs/zensical.toml", _without_pages)
    _edit(target / "Makefile", _without_new)
    _edit(target / "tests/ops/ci/docs/commands.toml", _without_commands)


def described(target: Path) -> str:
    """The description that `describe` wrote into a copy."""
    text = (target / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf"^description = ({_QUOTED})", text, re.MULTILINE)
    return str(json.loads(found[1])) if found else DESCRIPTION


def _edit(file: Path, change: Callable[[str], str]) -> None:
    if file.exists():
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


def _readme(text: str, name: str, description: str) -> str:
    sections = re.split(r"(?m)^(?=## )", text)[1:]
    kept = [one for one in sections if one.partition("\n")[0][3:] not in TEMPLATE_SECTIONS]
    text = "".join(kept).replace("[Tutorial](docs/tutorial.md), ", "")
    return f"# {names.distribution(name)}\n\n{description}\n\n{text}"


def _with_updates(text: str) -> str:
    return re.sub(r"(?ms)^## Create a new service\n.*?(?=^## |\Z)", lambda _: _UPDATES, text)


def _without_presets(text: str) -> str:
    return re.sub(r"(?ms)^## Presets\n.*?(?=^## |\Z)", "", text)


def _without_pages(text: str) -> str:
    text = re.sub(r'(?m)^  \{ "Tutorial" = .*\n', "", text)
    return re.sub(r'(?ms)^  \{ "Other languages" = \[\n.*?^  \] \},\n', "", text)


def _without_commands(text: str) -> str:
    return re.sub(r"(?ms)^# begin template\n.*?^# end template\n\n", "", text)


def _without_new(makefile: str) -> str:
    return re.sub(r"(?ms)^new: .*?\n\n", "", makefile).replace(" new update", " update", 1)
