"""What a repository knows of its creation from the base: its name and the removed slices."""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ops.template.slices.manifest import SliceError

FILE = Path("ops/template/product.toml")
_HEAD = "# How this repository was created. `make update` and `make remove-slice` use this file.\n"


@dataclass(frozen=True)
class Product:
    """The name that was given, and the slices that are removed."""

    name: str
    without: tuple[str, ...]


def read(root: Path) -> Product:
    """Raises SliceError if the file is missing or wrong."""
    try:
        given = tomllib.loads((root / FILE).read_text("utf-8"))
    except FileNotFoundError:
        raise SliceError(f"{FILE} is missing; it has the name, such as name = 'shop'") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SliceError(f"{FILE}: is not TOML: {error}") from None
    name, without = given.get("name"), given.get("without", [])
    if not isinstance(name, str) or not isinstance(without, list):
        raise SliceError(f"{FILE}: must have a text `name` and a list `without`")
    return Product(name, tuple(map(str, without)))


def written(product: Product) -> str:
    """The text of the file, with one slice a line, so that git merges additions."""
    listed = "".join(f"  {json.dumps(name)},\n" for name in sorted(product.without))
    return f"{_HEAD}name = {json.dumps(product.name)}\nwithout = [\n{listed}]\n"


def recorded(text: str, gone: Iterable[str]) -> str:
    """The text of the file with further removed slices."""
    found = tomllib.loads(text)
    return written(Product(found["name"], tuple({*found.get("without", []), *gone})))
