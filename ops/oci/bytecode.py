"""Compiles Python sources to bytecode files that are the same wherever they are made.

They are hash-based and unchecked (PEP 552): Python takes them without looking at the source's time,
which images do not keep.
"""

import importlib.util
import marshal
import sys
import warnings
from collections.abc import Iterable, Iterator

from ops.oci.entry import Entry, Kind, file
from ops.oci.errors import OciError

#: What images run. A .pyc's format is the same in all patch releases of a version.
VERSION = (3, 13)
_HASH_BASED = 0b01


def compiled(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The bytecode file of each ``*.py``; a source that does not compile has none.

    Raises OciError when it runs on another Python than images do.
    """
    if sys.version_info[:2] != VERSION:
        raise OciError(f"bytecode for CPython {VERSION} cannot be made by {sys.version_info[:2]}")
    tag = f"cpython-{VERSION[0]}{VERSION[1]}"
    for entry in entries:
        if entry.kind is not Kind.FILE or not entry.path.endswith(".py"):
            continue
        data = pyc(entry.content, f"/{entry.path}")
        if data is not None:
            folder, _, name = entry.path.rpartition("/")
            cache = f"{folder}/__pycache__" if folder else "__pycache__"
            yield file(f"{cache}/{name[:-3]}.{tag}.pyc", data, origin=entry.origin)


def pyc(source: bytes, path: str) -> bytes | None:
    """The bytecode file of a source that will lie at ``path``; None if it does not compile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return None
    # What else this process holds shows in an object's first dump: whether it is shared. Not so in
    # a dump of an object that was read back.
    body = marshal.dumps(marshal.loads(marshal.dumps(code)))
    flags = _HASH_BASED.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + body
