"""The Celery application."""

import subprocess
import sys

from tests.integration.processes import environment


def test_settings_are_loaded_before_a_worker_forks() -> None:
    """Otherwise each process of the pool would load them again at its first job."""
    code = "from fastapi_base.tasks import app, runtime; print(runtime.settings.cache_info())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert "misses=1, maxsize=None, currsize=1" in done.stdout
