"""Identifiers."""

import os
import time
import uuid


def uuid7() -> uuid.UUID:
    """Generate a version 7 UUID (RFC 9562, 5.7): 48 bits of Unix milliseconds, then 74 random bits.

    Keys generated in sequence are adjacent in an index, so inserts touch few pages. The standard
    library provides it from Python 3.14, PostgreSQL from version 18.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)
