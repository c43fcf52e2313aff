"""How processes ended, in words."""

import signal
import subprocess
import sys

import pytest

from fastapi_base.utils.exits import how_ended


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise SystemExit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
        # A realtime signal for which Python has no name.
        (
            f"import os; os.kill(os.getpid(), {signal.SIGRTMIN + 1})",
            f"signal {signal.SIGRTMIN + 1}",
        ),
    ],
)
def test_end_of_a_process(program: str, how: str) -> None:
    done = subprocess.run([sys.executable, "-S", "-c", program], check=False)
    assert how_ended(done.returncode) == how
