"""Whether this process is shutting down: readiness fails first, so that no new requests arrive."""

_started = False


def start() -> None:
    """Start draining: the process still answers requests but reports that it is not ready."""
    global _started
    _started = True


def started() -> bool:
    """Whether `start` was called in this process."""
    return _started
