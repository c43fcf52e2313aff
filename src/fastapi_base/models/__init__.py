"""Tables. Importing this package registers all of them in `metadata`."""

from fastapi_base.models.base import metadata
from fastapi_base.models.user import User

__all__ = ["User", "metadata"]
