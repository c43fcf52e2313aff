"""Reads what exists in a tree, and writes a resource into it: all of it, or nothing."""

import re
from pathlib import Path

from ops.template.formatting import ruff
from ops.template.resource import collisions
from ops.template.resource.files import (
    api_tests,
    endpoints,
    factory,
    manifest,
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

MANIFESTS = "ops/template/slices/manifests"

_KEYS = "api/v1/endpoints/identity/api_keys.py"
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
    files = {
        **{f"{place}/__init__.py": said for place, said in packages.items()},
        **{f"{place}/BUILD": _BUILD for place in packages},
        f"{source}/models/{many}/{one}.py": model.render(resource, package),
        f"{source}/schemas/{many}/{one}.py": schema.render(resource, package),
        f"{source}/services/{many}/{many}.py": service.render(resource, package),
        f"{source}/api/v1/endpoints/{many}/{many}.py": endpoints.render(resource, package),
        f"{source}/migrations/versions/{revision}_{many}.py": migration.render(
            resource, package, revision, down
        ),
        f"ops/dev/seed/{many}.py": factory.render(resource, package),
        f"tests/unit/schemas/test_{many}.py": schema_tests.render(resource, package),
        f"tests/integration/{many}_rows.py": rows.render(resource, package),
        f"tests/integration/api/test_{many}.py": api_tests.render(
            resource, package, keys=(root / source / _KEYS).exists()
        ),
    }
    if (root / MANIFESTS).is_dir():
        described = manifest.render(resource, files)
        files[f"{MANIFESTS}/{many}.toml"] = described
    return files


def _revisions(versions: Path) -> tuple[str, str]:
    """The next number, and the latest migration, which it follows."""
    texts = [file.read_text("utf-8") for file in versions.glob("[0-9]*.py")]
    known = {number for text in texts for number in _REVISION.findall(text)}
    heads = known - {number for text in texts for number in _DOWN.findall(text)}
    if len(heads) != 1:
        raise ResourceError(f"the migrations must have one head, not {sorted(heads)}")
    numbers = [int(number) for number in known if number.isdecimal()]
    return f"{max(numbers) + 1:04}", heads.pop()


def write(root: Path, resource: Resource, package: str) -> list[Path]:
    """Write and format the resource; returns the new files. On any error, nothing has changed."""
    files = new_files(root, package, resource)
    collisions.check(root, package, resource, files)
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
