"""A cache in Redis that is never stale after a committed write, regardless of failures of Redis.

Each read supplies a stamp, which the database returned after the read began. An entry is valid only
for readers with the stamp that it was loaded with. Every committed change to the data behind an
entry changes the stamp (services/stamps.py). Redis may lose entries, keep them, or restore them
from an old file: this affects how fast an answer is, never its content. docs/decisions/0017
contains the proof.

`keys` defines namespaces, names and lifetimes; `cache` reads and loads entries; `scripts` holds the
atomic Redis scripts; `local` is a bounded in-process tier.
"""

from fastapi_base.utils.cache.cache import Cache, Outcome
from fastapi_base.utils.cache.keys import Key, Namespace, Stamp
from fastapi_base.utils.cache.local import LocalTier

__all__ = ["Cache", "Key", "LocalTier", "Namespace", "Outcome", "Stamp"]
