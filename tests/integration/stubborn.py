"""A task that ignores requests to end, for a worker that is told to include it."""

import time
from contextlib import suppress

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

STUBBORN = "tests.stubborn"


@shared_task(name=STUBBORN)  # type: ignore[untyped-decorator]
def stubborn() -> None:
    """Run for longer than any limit."""
    while True:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(60)
