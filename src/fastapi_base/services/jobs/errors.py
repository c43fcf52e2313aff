"""How jobs end other than well."""


class GiveUp(Exception):
    """Raised by a handler: no later attempt would do better. Its text is shown to the owner."""


class TryLater(Exception):
    """Raised by a handler: what it needs is not there now. The next attempt comes after a pause."""


class Cancelled(Exception):
    """The job's end was asked for while it ran."""


class Lost(Exception):
    """Somebody else took the job over; what was done here is rolled back."""
