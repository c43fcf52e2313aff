"""Messages of `make lock`."""

import sys


def say(text: str) -> None:
    """A line for the user, at once."""
    print(f"lock: {text}", file=sys.stderr, flush=True)
