"""Whether this process is about to end: readiness fails first, so that no new requests come."""

_begun = False


def begin() -> None:
    """From now on the process answers what comes, and asks not to be sent more."""
    global _begun
    _begun = True


def begun() -> bool:
    """Whether begin() was called in this process."""
    return _begun
