"""The names of a service: which are possible, and the forms in which the tree contains them."""

import keyword
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ops.template.update.git import TemplateError

#: A name, folder or slice that cannot be used; the message says what can.
NewError = TemplateError
#: Importable names that no locked package has as its own. A test compares them with the packages.
IMPORTS = (
    *("attr", "boolean", "cyclonedx", "dateutil", "dns", "dotenv", "google", "graphql", "jwt"),
    *("markdown_it", "multipart", "openfeature", "opentelemetry", "packageurl", "public", "py"),
    *("rpds", "xdist", "yaml"),
)
#: The longest name derived from the service's: a namespace of Kubernetes is a label of DNS
#: (RFC 1123), and a channel of PostgreSQL has at most 63 bytes.
_LONGEST_SUFFIX = "-production"
LONGEST = 63 - len(_LONGEST_SUFFIX)
#: The name of this package; in two parts, so that nothing renames it.
OLD = "fastapi" + "_base"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==", re.MULTILINE)


def package(name: str) -> str:
    """The name of the Python package."""
    return name.replace("-", "_")


def distribution(name: str) -> str:
    """The name for everything else: images, hosts, Kubernetes, queues."""
    return name.replace("_", "-")


def check(name: str, taken: Mapping[str, str]) -> None:
    """Raise NewError unless Python and DNS allow the name, and nothing in ``taken`` has it."""
    if len(name) > LONGEST:
        raise NewError(
            f"NAME={name}: has {len(name)} characters; at most {LONGEST} are possible, because "
            f"Kubernetes namespaces such as NAME{_LONGEST_SUFFIX} have at most 63"
        )
    if not _NAME.fullmatch(name):
        raise NewError(
            f"NAME={name}: must consist of lower-case letters and digits, in words separated by "
            f"single dashes, and start with a letter, such as NAME={_similar(name)}"
        )
    module = package(name)
    if keyword.iskeyword(module):
        what = "is a keyword of Python"
    elif module in sys.stdlib_module_names or module == "test":
        what = f"is the module `{module}` of Python's standard library"
    elif module in taken:
        what = f"is {taken[module]}"
    else:
        return
    raise NewError(f"NAME={name}: {what}; choose another, such as NAME={name}-service")


def taken(root: Path, files: Iterable[str]) -> dict[str, str]:
    """Names that the tree uses itself, as modules, and what each is."""
    found = dict.fromkeys(IMPORTS, "a module of a locked package")
    for lock in (root / "3rdparty/python").glob("*.lock"):
        for one in _LOCKED.findall(lock.read_text(encoding="utf-8")):
            found[re.sub(r"[-_.]+", "_", one).lower()] = f"the locked package {one}"
    for file in files:
        parts = file.removeprefix("ops/build/plugins/").split("/")
        if len(parts) > 1:
            found[parts[0]] = f"the folder {file[: file.index(parts[0])]}{parts[0]} here"
    return found


def _similar(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower())
    return "-".join(words).lstrip("0123456789-") or "customer-portal-api"
