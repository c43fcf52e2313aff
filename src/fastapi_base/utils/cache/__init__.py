"""A cache in Redis that never answers with what was true before a change it was told of.

`keys` says what is kept, under which name and for how long; `cache` reads, loads and drops;
`scripts` is what Redis does in one step; `local` is a bounded tier in the process. docs/decisions
tells why there is no library for it here.
"""

from fastapi_base.utils.cache.cache import Cache, Outcome
from fastapi_base.utils.cache.keys import Key, Namespace, owner_tag
from fastapi_base.utils.cache.local import LocalTier

__all__ = ["Cache", "Key", "LocalTier", "Namespace", "Outcome", "owner_tag"]
