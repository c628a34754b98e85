"""A real browser without a window, driven through its debugging pipe: pages are looked at and clicked on."""

import base64
import fcntl
import io
import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 20.0  # seconds


class Browser:
    """One page; messages go as JSON, each ended by a zero byte, through the file descriptors 3 and 4."""

    def __init__(self, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            str(PROGRAM), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb", "--disable-background-networking",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank",
        ]  # fmt: skip
        theirs = [fcntl.fcntl(pipe, fcntl.F_DUPFD, 10) for pipe in (theirs_in, theirs_out)]
        streams = [(os.POSIX_SPAWN_DUP2, pipe, number) for number, pipe in enumerate(theirs, 3)]
        silent = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
        self._process = os.posix_spawn(command[0], command, os.environ, file_actions=[*streams, silent])
        for pipe in theirs:
            os.close(pipe)
        os.close(theirs_in)
        os.close(theirs_out)
        os.set_blocking(self._in, False)
        self._heard, self._number, self._session = b"", 0, ""
        self.asked: list[str] = []  # every address the page asked for

    def __enter__(self) -> Self:
        deadline = time.monotonic() + PATIENCE
        while not (pages := [t for t in self.do("Target.getTargets")["targetInfos"] if t["type"] == "page"]):
            assert time.monotonic() < deadline
        self._session = self.do("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.do(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._process, signal.SIGTERM)
        os.waitpid(self._process, 0)
        os.close(self._in)
        os.close(self._out)

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("method") == "Network.requestWillBeSent":
                self.asked.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, page: Path, width: int, height: int, dense: float = 1.0) -> None:
        """Open a file in a window of so many CSS pixels, each `dense` pixels of the screen a side."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=dense, mobile=False)
        self.do("Page.navigate", url=page.absolute().as_uri())
        self.until("document.readyState === 'complete'")

    def value(self, script: str) -> Any:
        """What a script of the page gives."""
        return self.do("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until it is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.value(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.02)

    def key(self, key: str) -> None:
        """Press and let go."""
        for kind in ("keyDown", "keyUp"):
            self.do(
                "Input.dispatchKeyEvent", type=kind, key=key, text=key if len(key) == 1 and kind == "keyDown" else ""
            )

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event at a place of the window, in CSS pixels."""
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the button at `start` and let it go at `end`."""
        self.mouse("mousePressed", *start, button="left", buttons=1, clickCount=1)
        middle = [(one + other) / 2 for one, other in zip(start, end, strict=True)]
        for x, y in (middle, end):
            self.mouse("mouseMoved", x, y, button="left", buttons=1)
        self.mouse("mouseReleased", *end, button="left", clickCount=1)

    def touch(self, kind: str, *places: tuple[float, float]) -> None:
        """Fingers on the window."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.do("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def look(self) -> np.ndarray:
        """The window as it is drawn now, uint8 [h, w, 3], in pixels of the screen."""
        self.do("Runtime.evaluate", expression=TWO_FRAMES, awaitPromise=True)
        data = base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"])
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._heard:
            try:
                part = os.read(self._in, 1 << 20)
            except BlockingIOError:
                part = None
                time.sleep(0.002)
            assert part != b"", "the browser ended"
            assert time.monotonic() < deadline, "the browser does not answer"
            self._heard += part or b""
        message, _, self._heard = self._heard.partition(b"\0")
        return json.loads(message)


TWO_FRAMES = "new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(seen)))"
