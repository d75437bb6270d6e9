"""A headless Chromium: the flags that keep it to itself, and a page driven over the DevTools protocol through pipes."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

# `piercing(root)` is every element below a root, those in shadow trees too
_PIERCING = """
const piercing = root => [...root.querySelectorAll('*')].flatMap(
    element => [element, ...(element.shadowRoot ? piercing(element.shadowRoot) : [])]);
const shown = element => element.getBoundingClientRect().width > 0 && element.getBoundingClientRect().height > 0;
const all = selector => piercing(document).filter(element => element.matches(selector) && shown(element));
"""


def command(profile: Path, *words: str) -> list[str]:
    """The browser without a window, with a profile of its own."""
    assert BROWSER is not None
    return [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-dev-shm-usage", "--no-first-run", f"--user-data-dir={profile}", *words,
    ]  # fmt: skip


class Tab:
    """One page, as the DevTools protocol sees it.

    `complaints` are uncaught exceptions and what the page's scripts called an error; `addresses` are those that the
    page looked for.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer, self._last, self._session = b"", 0, ""
        self.complaints: list[str] = []
        self.addresses: list[str] = []
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer.get("method"), answer.get("params", {}))

    def _next(self, patience: float = 60) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], patience)
            assert ready, "the browser does not answer"
            part = os.read(self._reading, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        head, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(head)
        return message

    def _note(self, event: str | None, facts: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(str(facts["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(part.get("value", part.get("description"))) for part in facts["args"]))
        elif event == "Log.entryAdded" and facts["entry"]["level"] == "error":
            self.complaints.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
        elif event == "Network.requestWillBeSent":
            self.addresses.append(facts["request"]["url"])

    def open(self, address: str) -> None:
        """Load an address afresh, even one that differs from the last in its fragment alone."""
        self("Page.navigate", url="about:blank")
        self("Page.navigate", url=address)

    def ask(self, script: str) -> Any:
        """The value of JavaScript: the body of a function, which may call `all(selector)`, every element shown."""
        body = f"(() => {{ {_PIERCING} {script} }})()"
        answer = self("Runtime.evaluate", expression=body, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 40) -> Any:
        """Ask until the value is true, and return it; say what it was last if it never is."""
        end = time.monotonic() + seconds
        while not (value := self.ask(script)):
            assert time.monotonic() < end, f"never true within {seconds} s: {script}"
            time.sleep(0.1)
        return value

    def picture(self, *files: Path) -> Image.Image:
        """What is on the screen, which is also written to PNG files."""
        pixels = base64.b64decode(self("Page.captureScreenshot", format="png")["data"])
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pixels)
        return Image.open(io.BytesIO(pixels)).convert("RGB")


@contextmanager
def tab(profile: Path, width: int = 1440, height: int = 1000, flags: Sequence[str] = ()) -> Iterator[Tab]:
    """A fresh browser with one empty page."""
    page_reads, we_write = os.pipe()
    we_read, page_writes = os.pipe()
    # the browser expects its pipes as file descriptors 3 and 4
    launch = ["bash", "-c", f'exec "$@" 3<&{page_reads} 4>&{page_writes}', "bash"]
    words = command(profile, "--remote-debugging-pipe", f"--window-size={width},{height}", *flags)
    null = subprocess.DEVNULL
    running = subprocess.Popen(
        [*launch, *words], pass_fds=(page_reads, page_writes), stdin=null, stdout=null, stderr=null
    )
    try:
        os.close(page_reads)
        os.close(page_writes)
        page = Tab(we_read, we_write)
        page("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        yield page
    finally:
        running.kill()
        running.wait()
        os.close(we_write)
        os.close(we_read)
