"""`make clients`: writes the generated parts of the clients in this tree."""

import sys
import tempfile
from pathlib import Path

from ops.ci.contract import description
from ops.ci.openapi import python_client, typescript_client
from ops.template.formatting import ruff

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "clients/python/src/fastapi_base_client"
TYPESCRIPT = "clients/typescript/src"
PACKAGE = "clients/typescript/package.json"
# As in pyproject.toml, as far as it matters for generated code.
_FORMAT = """
line-length = 100
target-version = "py313"
[lint]
select = ["F", "I"]
[lint.isort]
known-first-party = ["fastapi_base_client"]
"""


def generated(document: description.Json, root: Path = ROOT) -> dict[str, str]:
    """The text of each generated file by its path in the repository, formatted."""
    with tempfile.TemporaryDirectory(prefix="clients-") as place:
        folder = Path(place)
        (folder / "ruff.toml").write_text(_FORMAT, encoding="utf-8")
        for name, text in python_client.modules(document).items():
            (folder / name).write_text(text, encoding="utf-8")
        ruff.format_tree(folder, ruff.program(root))
        python = {
            f"{PYTHON}/{file.name}": file.read_text(encoding="utf-8")
            for file in sorted(folder.glob("*.py"))
        }
    package = root / PACKAGE
    return {
        **python,
        **{
            f"{TYPESCRIPT}/{name}": text
            for name, text in typescript_client.modules(document, root.absolute()).items()
        },
        PACKAGE: typescript_client.package(package.read_text(encoding="utf-8"), document),
    }


def main() -> int:
    """Write what differs, and name it."""
    for path, text in generated(description.complete()).items():
        file = ROOT / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            print(f"clients: wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
