"""Compresses standard input to standard output with gzip; runs on the locked interpreter.

zlib writes the header itself (RFC 1952), with neither a name nor a time.
"""

import sys
import zlib

_LEVEL = 9
_GZIP = 31
_CHUNK = 1 << 20


def main() -> None:
    """Compress everything, in bounded memory."""
    compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
    while data := sys.stdin.buffer.read(_CHUNK):
        sys.stdout.buffer.write(compressor.compress(data))
    sys.stdout.buffer.write(compressor.flush())


if __name__ == "__main__":
    main()
