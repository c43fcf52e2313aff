"""Describes how a process ended."""

import signal


def how_ended(code: int) -> str:
    """The name of a signal, or `exit code 3`, for an exit code of subprocess.

    Accepts the results of os.waitstatus_to_exitcode() too. Signals without a name in Python are
    shown by number: of the real-time signals, only the first and the last have names (signal(7)).
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
