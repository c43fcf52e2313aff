"""What stops `make up`."""


class UpError(RuntimeError):
    """A reason that a person can mend, in one clear sentence, shown without a traceback."""


class Interrupted(Exception):
    """The user asked to stop (SIGINT or SIGTERM) while something was being waited for."""
