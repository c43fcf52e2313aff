"""The supervisor on small real processes: order, crashes, signals, no leftovers."""

import signal
import textwrap
from pathlib import Path

import pytest

from tests.ops.dev.helpers import gone, run

PROGRAM = """
import sys, signal
from pathlib import Path
from ops.dev.terminal import Terminal
from ops.dev.errors import Interrupted, UpError
from ops.dev.processes import Process, Supervisor

folder = Path(sys.argv[1])

def python(name, code, **more):
    return Process(name, (sys.executable, "-c", code), **more)

SERVE = '''
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
def end(*_):
    print("NAME says goodbye", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("NAME serves", flush=True)
# Last: a signal may follow, and its handler prints too.
open("FOLDER/NAME", "w").close()
time.sleep(1000)
'''

def server(name, **more):
    code = SERVE.replace("NAME", name).replace("FOLDER", str(folder))
    return python(name, code, ready=(folder / name).exists, **more)

try:
    with Supervisor(Terminal(sys.stdout, {}, ("one", "two"))) as supervisor:
        BODY
except Interrupted:
    print("interrupted")
except UpError as error:
    print(f"error: {error}")
    sys.exit(1)
"""

TWO = """
supervisor.start(server("one"))
supervisor.start(server("two"))
print("all ready", flush=True)
supervisor.wait()
"""


def program(body: str) -> str:
    return PROGRAM.replace("BODY", textwrap.indent(body.strip(), " " * 8).strip())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_all_in_reverse_order(tmp_path: Path, number: signal.Signals) -> None:
    with run("-c", program(TWO), str(tmp_path)) as started:
        started.expect("all ready")
        family = started.family()
        # The supervisor, a watchdog, and two servers with a child each.
        assert len(family) == 6
        started.send(number)
        assert started.finish() == 0
        assert gone(family)
    said = [line for line in started.lines if "stopping" in line or "goodbye" in line]
    assert said == [
        "up  | stopping two",
        "two | two says goodbye",
        "up  | stopping one",
        "one | one says goodbye",
    ]


def test_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with run("-c", program(TWO), str(tmp_path)) as started:
        started.expect("all ready")
        family = started.family()
        started.send(signal.SIGKILL)
        assert gone(family)


def test_second_signal_kills(tmp_path: Path) -> None:
    stubborn = """
    supervisor.start(server("one"))
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(1000)"
    )
    supervisor.start(python("two", code, stop_seconds=600))
    supervisor.wait()
    """
    with run("-c", program(textwrap.dedent(stubborn)), str(tmp_path)) as started:
        started.expect("deaf")
        family = started.family()
        started.send(signal.SIGINT)
        started.expect("stopping two")
        started.send(signal.SIGINT)
        assert started.finish() == 128 + signal.SIGINT
        assert gone(family)


def test_process_that_exits_stops_the_others_and_shows_its_last_lines(tmp_path: Path) -> None:
    crash = """
    supervisor.start(server("one"))
    supervisor.start(python("two", "import sys; print('out of beans'); sys.exit(3)"))
    supervisor.wait()
    """
    with run("-c", program(textwrap.dedent(crash)), str(tmp_path)) as started:
        assert started.finish() == 1
    assert "error: two ended with exit code 3; its last lines:\n    out of beans" in started.text
    assert "one | one says goodbye" in started.text


def test_process_that_does_not_become_ready_is_named(tmp_path: Path) -> None:
    late = """
    code = "import time; time.sleep(1000)"
    supervisor.start(python("two", code, ready=lambda: False, ready_seconds=0.2))
    """
    with run("-c", program(textwrap.dedent(late)), str(tmp_path)) as started:
        assert started.finish() == 1
    assert "error: two was not ready within 0 s" in started.text


def test_signal_during_startup_is_handled(tmp_path: Path) -> None:
    waiting = """
    code = "import time; print('slow', flush=True); time.sleep(1000)"
    supervisor.start(python("two", code, ready=lambda: False))
    """
    with run("-c", program(textwrap.dedent(waiting)), str(tmp_path)) as started:
        started.expect("slow")
        family = started.family()
        started.send(signal.SIGINT)
        assert started.finish() == 0
        assert gone(family)
    assert "interrupted" in started.text


def test_missing_program_is_named(tmp_path: Path) -> None:
    with run("-c", program('supervisor.start(Process("two", ("/no/such",)))'), str(tmp_path)) as it:
        assert it.finish() == 1
    assert "error: two cannot be started" in it.text
    assert "Traceback" not in it.text


def test_reload_waits_for_the_next_change_after_a_failure(tmp_path: Path) -> None:
    reloading = """
    broken, changed = folder / "broken", folder / "changed"
    code = (
        f"import os, sys, time; os.path.exists({str(broken)!r}) and sys.exit('oops');"
        "print('fine', flush=True); time.sleep(1000)"
    )
    def change():
        return changed.exists() and (changed.unlink() or True)
    supervisor.start(server("one"))
    supervisor.start(python("two", code, reloads=True))
    supervisor.wait(change)
    """
    broken, changed = tmp_path / "broken", tmp_path / "changed"
    with run("-c", program(textwrap.dedent(reloading)), str(tmp_path)) as started:
        started.expect("fine")
        broken.touch()
        changed.touch()
        started.expect("restarting")
        started.expect("waiting for a change")
        broken.unlink()
        changed.touch()
        started.expect("fine")
        started.send(signal.SIGINT)
        assert started.finish() == 0
    assert started.text.count("one | one serves") == 1
