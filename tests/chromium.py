"""A real Chromium from locked Debian packages, driven by its DevTools protocol over pipes."""

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.dev import packages, waiting

ANSWER_SECONDS = 30.0

# Contrast as defined by WCAG 2.2 (1.4.3), of each text against its background.
CONTRAST = """
(() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => {
      part /= 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  for (const element of document.body.querySelectorAll("*")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    let behind = element, ground = [0, 0, 0, 0];
    while (behind && !(ground.length === 3 || ground[3] === 1)) {
      ground = rgb(getComputedStyle(behind).backgroundColor);
      behind = behind.parentElement;
    }
    const one = light(rgb(getComputedStyle(element).color).slice(0, 3));
    const two = light(ground.slice(0, 3));
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName} ${element.className} ${ratio.toFixed(1)}`);
  }
  return poor;
})()
"""

FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class Browser:
    """One page of a browser."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers = itertools.count(1)
        self._read = b""
        self._session = ""
        #: What pages wrote to the console, and the browser's own messages about them.
        self.said: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command to the browser and return its result. Raises AssertionError on errors."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def open(self, url: str) -> None:
        """Navigate to a page and wait until it has loaded."""
        self.eval("window.isBefore = true")
        self.call("Page.navigate", url=url)
        self.until("!window.isBefore && document.readyState === 'complete'")

    def eval(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true."""
        waiting.until(
            lambda: bool(self.eval(f"Boolean({script})")), script, seconds, said=self.text
        )

    def text(self) -> str:
        """The visible text."""
        return str(self.eval("document.body.innerText"))

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], deadline - time.monotonic())
            part = os.read(self._answers, 1 << 16) if ready else b""
            assert part, "the browser does not answer"
            self._read += part
        one, _, self._read = self._read.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        return message

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            self.said.append(parameters["entry"]["text"])
        elif event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.said.append(json.dumps(parameters))


def _installed(folder: Path) -> list[str]:
    """Prepare the directory of a browser; returns the command line that starts it."""
    root = packages.root("chromium", "Chromium")
    home = root / "usr/lib/chromium"
    (folder / "fonts.conf").write_text(
        FONTS.format(fonts=root / "usr/share/fonts", cache=folder / "fonts")
    )
    # It looks for its data next to the running executable, which is the loader.
    program = folder / "program"
    program.mkdir()
    for file in home.iterdir():
        (program / file.name).symlink_to(file)
    loader, *rest = packages.command(root, "usr/lib/chromium/chromium-headless-shell")
    shutil.copy(loader, program / "loader")
    libraries = packages.libraries(root)
    paths = [*libraries, *(one / "pulseaudio" for one in libraries), home]
    rest[rest.index("--library-path") + 1] = ":".join(map(str, paths))
    return [
        str(program / "loader"),
        *rest,
        # In a single process, since it starts others from the running executable.
        "--single-process",
        "--no-zygote",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
        f"--user-data-dir={folder / 'profile'}",
    ]


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with its own profile and without a cache."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        command = _installed(folder)
        theirs, ours = os.pipe()
        answers, said = os.pipe()

        def hand_over() -> None:
            # The protocol's pipes are 3 and 4. First move both out of each other's way.
            got, put = os.dup(theirs), os.dup(said)
            while got in (3, 4) or put in (3, 4):
                got, put = os.dup(got), os.dup(put)
            os.dup2(got, 3)
            os.dup2(put, 4)

        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                env={"FONTCONFIG_FILE": str(folder / "fonts.conf"), "HOME": str(folder)},
                stdout=log,
                stderr=log,
                close_fds=False,
                preexec_fn=hand_over,
            )
        os.close(theirs)
        os.close(said)
        try:
            yield Browser(ours, answers)
        except BaseException as error:
            error.add_note((folder / "log").read_text(errors="replace")[-2000:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
            os.close(ours)
            os.close(answers)
