"""Headless Chromium by its DevTools protocol: as much of it as the tests of the page need."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = os.environ.get("ECGRAY_PICTURES")
"""A folder for what each test of the page leaves on the screen, for people to look at."""
_START_S = 60.0
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-port=0",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
)
_KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), " ": (32, " "), "0": (48, "0")}
_KEYS |= {name: (code, "") for code, name in enumerate(("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"), 37)}


class Tab:
    """One tab: what it shows, and all that it asked for, said and complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, params: dict[str, Any] | None = None) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params or {}}))
        while True:
            found = json.loads(self._socket.recv(timeout=60))
            if found.get("id") == number:
                assert "error" not in found, found
                return found["result"]
            self._note(found.get("method", ""), found.get("params", {}))

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(about["exceptionDetails"])[:2000])
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(about["args"])[:2000])
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self._complain(about["entry"])

    def _complain(self, entry: dict[str, Any]) -> None:
        if not entry["text"].startswith("Failed to load resource"):  # an answer that is a refusal
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    def open(self, address: str) -> None:
        self.send("Page.navigate", {"url": address})
        self.until("document.readyState === 'complete'")

    def js(self, code: str) -> Any:
        """The value of an expression, as JSON has it; a promise is awaited."""
        how = {"expression": code, "returnByValue": True, "awaitPromise": True}
        found = self.send("Runtime.evaluate", how)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, code: str, *, seconds: float = 20.0) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + seconds
        while not (value := self.js(f"(found => found instanceof Node ? true : found)({code})")):
            assert time.monotonic() < end, f"in {seconds} s it did not become true: {code}"
            time.sleep(0.05)
        return value

    def text(self, selector: str) -> str:
        return self.js(f"document.querySelector({json.dumps(selector)}).innerText")

    def centre(self, selector: str) -> tuple[float, float]:
        where = f"document.querySelector({json.dumps(selector)})"
        self.js(f"{where}.scrollIntoView({{block: 'nearest', inline: 'nearest', behavior: 'instant'}})")
        box = self.js(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({where}.getBoundingClientRect())"
        )
        return box[0], box[1]

    def click(self, selector: str) -> None:
        self.drag([self.centre(selector)])

    def click_text(self, selector: str, words: str) -> None:
        """Click the first of these elements that has just these words."""
        self.js("document.querySelector('[data-hit]')?.removeAttribute('data-hit')")
        all_ = f"[...document.querySelectorAll({json.dumps(selector)})]"
        self.js(f"{all_}.find(each => each.textContent.trim() === {json.dumps(words)}).dataset.hit = ''")
        self.click("[data-hit]")

    def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Press the mouse at the first place, move over the others, and let go; one place is a click."""
        for place, (x, y) in enumerate(points):
            move = {
                "type": "mouseMoved",
                "x": x,
                "y": y,
                "button": "left" if place else "none",
                "buttons": int(place > 0),
            }
            self.send("Input.dispatchMouseEvent", move)
            if place == 0:
                press = {"type": "mousePressed", "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
                self.send("Input.dispatchMouseEvent", press)
        x, y = points[-1]
        self.send(
            "Input.dispatchMouseEvent", {"type": "mouseReleased", "x": x, "y": y, "button": "left", "clickCount": 1}
        )

    def press(self, key: str, *, shift: bool = False, times: int = 1) -> None:
        """Press a named key, as Tab."""
        code, text = _KEYS[key]
        about = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": code,
            "modifiers": 8 if shift else 0,
        }
        for _ in range(times):
            self.send(
                "Input.dispatchKeyEvent",
                {"type": "keyDown", "text": text, **about} if text else {"type": "rawKeyDown", **about},
            )
            self.send("Input.dispatchKeyEvent", {"type": "keyUp", **about})

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.send("Input.insertText", {"text": text})

    def focus_by_tab(self, selector: str, *, most: int = 120) -> None:
        """Press Tab until the focus is there."""
        for _ in range(most):
            self.press("Tab")
            if self.js(f"document.activeElement.matches({json.dumps(selector)})"):
                return
        raise AssertionError(f"Tab does not come to {selector}")

    def save_into(self, folder: Path) -> None:
        """Downloads go there."""
        self.send("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})

    def choose_files(self, selector: str, paths: Sequence[Path]) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self.send("DOM.setFileInputFiles", {"nodeId": node, "files": [str(path) for path in paths]})

    def drop_files(self, x: float, y: float, paths: Sequence[Path]) -> None:
        """Drag files from elsewhere over the page and let them go there."""
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})

    def size(self, width: int, height: int) -> None:
        how = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", how)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", {"format": "png"})["data"]))


def visited(tab: Tab, server: str, path: str = "/") -> Iterator[Tab]:
    """The page, fresh; afterwards nothing may have been complained of, and no other host been asked."""
    tab.size(1400, 1000)
    tab.open("about:blank")
    tab.requests.clear()
    tab.complaints.clear()
    tab.open(server + path)
    tab.until("document.querySelector('#samples .chip') && document.querySelector('#models button')")
    yield tab
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split()[0]).strip("-")
        tab.picture(Path(PICTURES) / f"{name}.png")
    assert tab.complaints == []
    assert [url for url in tab.requests if not url.startswith((f"{server}/", "blob:", "data:"))] == []


@contextlib.contextmanager
def open_tab() -> Iterator[Tab]:
    """A browser with an empty profile and one tab."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = _address(Path(profile) / "DevToolsActivePort")
            with connect(address, max_size=None, compression=None, open_timeout=_START_S) as socket:
                yield Tab(socket)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _address(file: Path) -> str:
    """Of the tab that the browser has opened."""
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, IndexError, StopIteration):
            port = file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                return next(each["webSocketDebuggerUrl"] for each in json.load(answer) if each["type"] == "page")
        time.sleep(0.1)
    raise AssertionError(f"{CHROMIUM} did not open its port in {_START_S:g} s")
