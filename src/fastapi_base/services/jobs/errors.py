"""Ways in which an attempt fails."""


class GiveUp(Exception):
    """Raised by a handler: no later attempt would succeed. The owner sees its text."""


class TryLater(Exception):
    """Raised by a handler: a dependency is unavailable for now. The next attempt comes later."""


class Cancelled(Exception):
    """The job's cancellation was requested while it ran."""


class Lost(Exception):
    """Another worker took the job over; this attempt is rolled back."""
