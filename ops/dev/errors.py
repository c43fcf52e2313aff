"""Errors that stop `make up`."""


class UpError(RuntimeError):
    """A problem that the user can fix, in one clear sentence, shown without a traceback."""


class Interrupted(Exception):
    """The user requested a stop (SIGINT or SIGTERM) during a wait."""
