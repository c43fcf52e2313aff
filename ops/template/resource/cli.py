"""`make resource NAME=order FIELDS="number:str! total:decimal"`: adds a resource to the service."""

import signal
import sys
from pathlib import Path
from types import FrameType

from ops.template.formatting import ruff
from ops.template.resource import specification, tree
from ops.template.resource.kinds import ResourceError
from ops.template.resource.specification import Resource

_USAGE = """\
usage: make resource NAME=order FIELDS="number:str! total:decimal due:date?" [PLURAL=orders]

  NAME    the resource in the singular: order, order_line
  FIELDS  name:type, separated by spaces; name:type! is unique for its owner, name:type? is optional
  PLURAL  where the rules of English do not find it: NAME=person PLURAL=people

types:
  str  str(80)  text  text(20000)         one line (200), several lines (5000)
  int  bigint  decimal  decimal(10,2)     decimal has 12 digits, 2 of them after the point
  float  bool  date  datetime  uuid       datetime has a time zone
  email  url  json                        json is an object
  enum(open,paid)  ref(customer)          a resource made by an earlier `make resource`

The result is a slice: `make remove-slice SLICE=orders` removes it."""


def main(arguments: list[str]) -> int:
    """Takes the three values of the usage. Returns 2 with a sentence if one is invalid."""
    name, fields, plural = (one.strip() for one in (*arguments, "", "", "")[:3])
    if not name:
        print(_USAGE, file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    root = Path.cwd()
    try:
        package = tree.package_of(root)
        resource = specification.parse(name, fields, plural, tree.existing(root, package))
        made = tree.write(root, resource, package)
    except (ResourceError, ruff.FormatError) as error:
        print(f"make resource: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"make resource: {error}; nothing has changed", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make resource: interrupted; nothing has changed", file=sys.stderr)
        return 130
    print(_report(root, resource, made))
    return 0


def _report(root: Path, resource: Resource, made: list[Path]) -> str:
    names = resource.names
    written = [file.relative_to(root) for file in made if file.name not in ("__init__.py", "BUILD")]
    filters = ", ".join(field.name for field in resource.filters) or "the time of creation only"
    return "\n".join(
        [
            *(f"wrote {file}" for file in written),
            f"The list /api/v1/{names.path} can be filtered by {filters}.",
            "Next:",
            f"  .venv/bin/pytest -q tests/unit/schemas/test_{names.plural}.py"
            f" tests/integration/api/test_{names.plural}.py",
            "  make clients",
            "  make up",
        ]
    )


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
