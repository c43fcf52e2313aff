"""Checks manifests and marks: what is wrong is found before a slice is removed.

A file, or a marked line, stands for the slices that it depends on. What remains without a slice
must not use what goes with it: no import, no migration of its tables, none of its words.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path

from ops.template.slices import marks, texts
from ops.template.slices.edits import texts as marked_texts
from ops.template.slices.manifest import (
    VERSIONS,
    Manifest,
    SliceError,
    dependents,
    files,
    load,
    matches,
)
from ops.template.slices.marks import Conditions
from ops.template.slices.remove import EXAMPLE, LOCK, REQUIREMENTS

#: The tests of these commands, which have examples.
_OWN_TESTS = Path("tests/ops/template")
#: Ends a line that may refer to a slice, and gives the reason.
_REASON = re.compile(r"# not the slice: \w")
_TABLE = re.compile(r"create_table\(\s*(?:\"(\w+)\"|(\w+))")


def problems(root: Path) -> list[str]:
    """A sentence for each wrong manifest or mark. Raises SliceError if a manifest is no TOML."""
    known = load(root)
    owned = {name: set(files(root, one)) for name, one in known.items()}
    owners = {file: name for name, mine in owned.items() for file in mine}
    if found := [*_unmatched(root, known), *_shared(root, owned)]:
        return found
    conditions: dict[Path, Conditions] = {}
    for file in marked_texts(root):
        try:
            conditions[file] = marks.conditions(file.read_text("utf-8"), page=file.suffix == ".md")
        except SliceError as error:
            found.append(f"{file.relative_to(root)}:{error}")
    for file, lines in conditions.items():
        here = file.relative_to(root)
        named = {name for sets in lines for one in sets for name in one}
        found += [f"{here}: no manifest describes the slice {one}" for one in named - known.keys()]
        if file.suffix == ".py":
            found += _imports(root, file, lines, owners, known)
            found += _words(root, file, lines, owners, known)
    found += _migrations(root, known, owned, conditions)
    return found


def _unmatched(root: Path, known: Mapping[str, Manifest]) -> Iterator[str]:
    """What manifests name and the tree does not have."""
    example = (root / EXAMPLE).read_text("utf-8")
    listed, locked = ((root / one).read_text("utf-8") for one in (REQUIREMENTS, LOCK))
    there = texts.packages(listed) | texts.packages(locked)
    for name, one in known.items():
        for pattern in one.files:
            if not any(matches(root, pattern)):
                yield f"{name}: files: nothing matches {pattern}"
        for migration in one.migrations:
            if not any(matches(root, f"{VERSIONS}/{migration}.py")):
                yield f"{name}: migrations: there is no {migration}.py"
        for pattern in one.settings:
            if not texts.settings(example, pattern):
                yield f"{name}: settings: {EXAMPLE} has no {pattern}"
        for package in one.packages:
            if texts.normal(package) not in there:
                yield f"{name}: packages: {LOCK} has no {package}"
        for page, titles in one.sections.items():
            has = texts.headings((root / page).read_text("utf-8")) if (root / page).exists() else []
            for title in set(titles).difference(has):
                yield f"{name}: sections: {page} has no heading {title!r}"
        for other in set(one.needs) - known.keys():
            yield f"{name}: needs: no manifest describes the slice {other}"
        if name in dependents([name], known) or name in one.needs:
            yield f"{name}: needs itself"


def _shared(root: Path, owned: Mapping[str, set[Path]]) -> Iterator[str]:
    for (one, mine), (other, theirs) in combinations(owned.items(), 2):
        for file in sorted(mine & theirs):
            yield f"{file.relative_to(root)}: belongs to {one} and to {other}"


def _imports(
    root: Path,
    file: Path,
    lines: Conditions,
    owners: Mapping[Path, str],
    known: Mapping[str, Manifest],
) -> Iterator[str]:
    """Uses of imports that are gone when the use is not."""
    here = file.relative_to(root)
    base = _base(file, owners, known)
    tree = ast.parse(file.read_text("utf-8"))
    bound: dict[str, list[tuple[frozenset[str], ...]]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for alias in node.names:
            has = lines[alias.lineno - 1]
            bound.setdefault((alias.asname or alias.name).partition(".")[0], []).append(has)
            for target in _targets(root, node, alias.name):
                if (owner := owners.get(target)) and not _implies(
                    (*base, *has), frozenset({owner}), known
                ):
                    yield (
                        f"{here}:{alias.lineno}: imports {target.relative_to(root)} of the slice"
                        f" {owner}, and is not marked as its own"
                    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and len(imported := bound.get(node.id, [])) == 1:
            has = (*base, *lines[node.lineno - 1])
            for one in imported[0]:
                if not _implies(has, one, known):
                    yield (
                        f"{here}:{node.lineno}: uses {node.id}, whose import is marked as part of"
                        f" {', '.join(sorted(one))}"
                    )


def _words(
    root: Path,
    file: Path,
    lines: Conditions,
    owners: Mapping[Path, str],
    known: Mapping[str, Manifest],
) -> Iterator[str]:
    """Lines that refer to a slice without being a part of it."""
    here = file.relative_to(root)
    if here.parts[0] not in ("src", "tests") or here.is_relative_to(_OWN_TESTS):
        return
    base = _base(file, owners, known)
    text = file.read_text("utf-8").splitlines()
    for name, one in known.items():
        if one.words:
            word = re.compile("|".join(one.words))
            for number, (line, has) in enumerate(zip(text, lines, strict=True), 1):
                named = word.search(line) and not _REASON.search(line)
                if named and not _implies((*base, *has), frozenset({name}), known):
                    yield (
                        f"{here}:{number}: refers to the slice {name}; mark the line, or end it"
                        " with the comment `not the slice: ` and the reason"
                    )


def _base(
    file: Path, owners: Mapping[Path, str], known: Mapping[str, Manifest]
) -> tuple[frozenset[str], ...]:
    return (frozenset({owners[file]}),) if file in owners else ()


def _implies(
    has: Iterable[frozenset[str]], needed: frozenset[str], known: Mapping[str, Manifest]
) -> bool:
    """Whether code that depends on all of ``has`` goes at the latest with ``needed``."""
    gone = needed | {*dependents(needed, known)}
    return any(one <= gone for one in has)


def _targets(root: Path, node: ast.Import | ast.ImportFrom, name: str) -> Iterator[Path]:
    """The files in this tree that an import may mean."""
    module = name if isinstance(node, ast.Import) else f"{node.module}.{name}"
    for one in {module, module.rpartition(".")[0]}:
        path = one.replace(".", "/")
        for place in ("src", ""):
            yield root / place / f"{path}.py"


def _migrations(
    root: Path,
    known: Mapping[str, Manifest],
    owned: Mapping[str, set[Path]],
    conditions: Mapping[Path, Conditions],
) -> Iterator[str]:
    """Lines of kept migrations that name a table of a slice."""
    every = [file for file in root.glob(f"{VERSIONS}/*.py") if file in conditions]
    for name in known:
        for table in _tables(name, every, conditions, owned[name]):
            word = re.compile(rf"\b{table}\b")
            for file in sorted(set(every) - owned[name]):
                for line, text in _strings(file):
                    has = conditions[file][line - 1]
                    if word.search(text) and not _implies(has, frozenset({name}), known):
                        yield (
                            f"{file.relative_to(root)}:{line}: names the table {table}, which"
                            f" only the slice {name} creates"
                        )


def _strings(file: Path) -> Iterator[tuple[int, str]]:
    """The texts in a file with their lines, without its docstring."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in (one for part in tree.body[1:] for one in ast.walk(part)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def _tables(
    slice_: str, migrations: Iterable[Path], conditions: Mapping[Path, Conditions], mine: set[Path]
) -> set[str]:
    """The tables that a slice creates, in its own migrations and in lines that are its own."""
    found = set()
    for file in migrations:
        text = file.read_text("utf-8")
        for made in _TABLE.finditer(text):
            has = conditions[file][text.count("\n", 0, made.start())]
            if file not in mine and frozenset({slice_}) not in has:
                continue
            quoted, constant = made.groups()
            value = re.search(rf'^{constant} = "(\w+)"', text, re.MULTILINE) if constant else None
            found.add(value[1] if value else quoted)
    return found - {"", None}
