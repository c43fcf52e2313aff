"""The manifest of the slice that a resource is (`ops/template/slices`)."""

from collections.abc import Iterable
from string import Template

from ops.template.resource.specification import Resource

_MANIFEST = Template("""\
title = "$All"
description = "$All of accounts, as `make resource` wrote them."
standard = true
generated = true
files = [
$files
]
migrations = ["$migration"]
$needs""")


def render(resource: Resource, files: Iterable[str]) -> str:
    """The manifest of these new files."""
    *migrations, migration = (file for file in files if "/migrations/" in file)
    assert not migrations
    folders = {file.removesuffix("BUILD") + "**" for file in files if file.endswith("/BUILD")}
    inside = tuple(folder.removesuffix("**") for folder in folders)
    alone = {file for file in files if file != migration and not file.startswith(inside)}
    needs = ", ".join(
        sorted({f'"{field.target.plural}"' for field in resource.refs if field.target})
    )
    return _MANIFEST.substitute(
        All=resource.names.many.capitalize(),
        files="\n".join(f'  "{file}",' for file in sorted(folders | alone)),
        migration=migration.rpartition("/")[2].removesuffix(".py"),
        needs=f"needs = [{needs}]\n" if needs else "",
    )
