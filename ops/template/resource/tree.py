"""Reads what exists in a tree, and writes a resource into it: all of it, or nothing."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ops.template.formatting import ruff
from ops.template.resource.files import (
    api_tests,
    endpoints,
    migration,
    model,
    rows,
    schema,
    schema_tests,
    service,
)
from ops.template.resource.kinds import ResourceError
from ops.template.resource.lists import edits
from ops.template.resource.names import Names
from ops.template.resource.specification import Resource

_BUILD = "python_sources()\n"
_REVISION = re.compile(r'^revision\b[^=]*= "([^"]+)"', re.M)
_DOWN = re.compile(r'^down_revision\b[^=]*= "([^"]+)"', re.M)


def package_of(root: Path) -> str:
    """The name of the service's package. Raises ResourceError."""
    found = [file.parents[1].name for file in root.glob("src/*/api/deps.py")]
    if len(found) != 1:
        raise ResourceError("run this in the root of the repository: src has no service")
    return found[0]


def existing(root: Path, package: str) -> dict[str, Names]:
    """The resources that a ref can name: their tables have the key (owner_id, id)."""
    return {
        file.stem: Names(file.stem, file.parent.name)
        for file in sorted((root / f"src/{package}/models").glob("*/*.py"))
        if 'UniqueConstraint("owner_id", "id")' in file.read_text("utf-8")
    }


def new_files(root: Path, package: str, resource: Resource) -> dict[str, str]:
    """The text of each new file, by its path. Raises ResourceError."""
    names = resource.names
    one, many = names.singular, names.plural
    source = f"src/{package}"
    revision, down = _revisions(root / source / "migrations/versions")
    packages = {
        f"{source}/models/{many}": f'"""The table of {names.many}."""\n',
        f"{source}/schemas/{many}": f'"""Request and response models of {names.many}."""\n',
        f"{source}/services/{many}": f'"""The rules of {names.many}."""\n',
        f"{source}/api/v1/endpoints/{many}": f'"""Routes of {names.many}."""\n',
    }
    return {
        **{f"{place}/__init__.py": said for place, said in packages.items()},
        **{f"{place}/BUILD": _BUILD for place in packages},
        f"{source}/models/{many}/{one}.py": model.render(resource, package),
        f"{source}/schemas/{many}/{one}.py": schema.render(resource, package),
        f"{source}/services/{many}/{many}.py": service.render(resource, package),
        f"{source}/api/v1/endpoints/{many}/{many}.py": endpoints.render(resource, package),
        f"{source}/migrations/versions/{revision}_{many}.py": migration.render(
            resource, package, revision, down
        ),
        f"tests/unit/schemas/test_{many}.py": schema_tests.render(resource, package),
        f"tests/integration/{many}_rows.py": rows.render(resource, package),
        f"tests/integration/api/test_{many}.py": api_tests.render(resource, package),
    }


def _revisions(versions: Path) -> tuple[str, str]:
    """The next number, and the latest migration, which it follows."""
    texts = [file.read_text("utf-8") for file in versions.glob("[0-9]*.py")]
    known = {number for text in texts for number in _REVISION.findall(text)}
    heads = known - {number for text in texts for number in _DOWN.findall(text)}
    if len(heads) != 1:
        raise ResourceError(f"the migrations must have one head, not {sorted(heads)}")
    numbers = [int(number) for number in known if number.isdecimal()]
    return f"{max(numbers) + 1:04}", heads.pop()


def check(root: Path, package: str, resource: Resource, files: Mapping[str, str]) -> None:
    """Raise ResourceError if the tree already has something with a name of the resource."""
    names = resource.names
    for file in files:
        if (root / file).exists():
            raise ResourceError(f"NAME={names.singular}: {file} exists already")
    # `make remove-slice` would remove them with the resource.
    mine = re.compile(
        rf"(test_|\d{{4}}_)?({names.plural}|{names.plural.removesuffix('s')})(_[a-z]+)?\.py"
    )
    for place in ("src", "tests", "ops"):
        for path in (root / place).rglob("*.py"):
            if mine.fullmatch(path.name) or path.parent.name == names.plural:
                raise ResourceError(
                    f"NAME={names.singular}: {path.relative_to(root)} has a name that belongs to"
                    f" the slice {names.plural}; choose another, such as shop_{names.singular}"
                )
    for taken, file in _taken(root / f"src/{package}", resource):
        raise ResourceError(
            f"NAME={names.singular}: {taken} exists already, in {file.relative_to(root)}; choose"
            f" another, such as shop_{names.singular}"
        )


def _taken(source: Path, resource: Resource) -> Iterator[tuple[str, Path]]:
    names = resource.names
    one, many = names.singular, names.plural
    verbs = [f"{verb}_{one}" for verb in ("create", "read", "update", "delete")]
    functions = [*verbs, f"create_{many}", f"list_{many}"]
    suffixes = "Create|Created|Read|Update|Filter|Page|Sort"
    taken = re.compile(
        rf"^class ((?:{names.model}|{names.models})(?:{suffixes})?)\b"
        rf"|^async def ({'|'.join(functions)})\("
        rf'|prefix="(/{names.path})"'
        rf'|^    __tablename__ = "({many})"$'
        rf"|^ *from \S+ import (?:.*\b)?({many})(?:,|$)",
        re.M,
    )
    for file in sorted(source.rglob("*.py")):
        for match in taken.finditer(file.read_text("utf-8")):
            yield next(found for found in match.groups() if found), file


def write(root: Path, resource: Resource, package: str) -> list[Path]:
    """Write and format the resource; returns the new files. On any error, nothing has changed."""
    files = new_files(root, package, resource)
    check(root, package, resource, files)
    program = ruff.program(root)
    edited: dict[Path, tuple[bytes, str]] = {}
    for name, edit in edits(resource, package).items():
        file = root / name
        # A file of a slice that was removed.
        if file.exists():
            content = file.read_bytes()
            try:
                edited[file] = content, edit(content.decode())
            except ResourceError as error:
                raise ResourceError(f"{name} has been changed: {error}") from None
    made = [root / name for name in files]
    folders = sorted({parent for file in made for parent in file.parents if not parent.exists()})
    try:
        for folder in folders:
            folder.mkdir()
        for file, text in zip(made, files.values(), strict=True):
            file.write_text(text, "utf-8")
        ruff.format_tree(root, program, files=[str(file) for file in made if file.suffix == ".py"])
        for file, (_, text) in edited.items():
            file.write_bytes(text.encode())
        ruff.check(root, program, [str(file) for file in [*made, *edited] if file.suffix == ".py"])
    except BaseException:
        for file, (content, _) in edited.items():
            file.write_bytes(content)
        for file in made:
            file.unlink(missing_ok=True)
        for folder in reversed(folders):
            if folder.exists():
                folder.rmdir()
        raise
    return made
