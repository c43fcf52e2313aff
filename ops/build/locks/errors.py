"""The error that ends `make lock`."""


class LockingError(RuntimeError):
    """Nothing was changed; the message says why, and what would be right."""
