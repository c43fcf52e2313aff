"""Compiles Python sources; runs on the interpreter that will load the bytecode.

It uses only the standard library of a bare interpreter: a list of (path, source) comes on stdin in
marshal's format, and a list of the .pyc files' contents, or None, goes to stdout.
"""

import importlib.util
import marshal
import sys
import warnings

_HASH_BASED = 0b01  # and not checked: PEP 552


def pyc(source: bytes, path: str) -> bytes | None:
    """The bytecode file of a source that will be at ``path``; None if it does not compile."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return None
    # The first dump of an object depends on other objects of this process: it records whether an
    # object is shared. A dump of an object that was loaded again does not.
    body = marshal.dumps(marshal.loads(marshal.dumps(code)))
    flags = _HASH_BASED.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + body


def main() -> None:
    """Process one list of sources."""
    sources = marshal.load(sys.stdin.buffer)
    marshal.dump([pyc(source, path) for path, source in sources], sys.stdout.buffer)


if __name__ == "__main__":
    main()
