"""The page's modules without a document, in V8: what the browser runs, called from Python."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from py_mini_racer import MiniRacer

from ecgray.service.about import PAGE

_SOURCES = {path.name: path.read_text() for path in sorted((PAGE / "logic").glob("*.js"))}
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:function|const) (\w+))", re.MULTILINE)


class Logic:
    """All modules of `page/logic`, each in a scope of its own, as in a browser."""

    def __init__(self, engine: MiniRacer) -> None:
        self._engine = engine
        self._exports: list[str] = []
        engine.eval("const modules = {};")
        loaded: set[str] = set()
        while waiting := _SOURCES.keys() - loaded:
            ready = [
                name for name in sorted(waiting) if {file for _, file in _IMPORT.findall(_SOURCES[name])} <= loaded
            ]
            assert ready, f"these import each other, or what is not there: {sorted(waiting)}"
            for name in ready:
                self._load(name)
            loaded.update(ready)
        assert len(set(self._exports)) == len(self._exports)

    def _load(self, name: str) -> None:
        own = _EXPORT.findall(_SOURCES[name])
        body = _EXPORT.sub("", _IMPORT.sub(r'const {\1} = modules["\2"];\n', _SOURCES[name]))
        assert not re.search(r"^(import|export)\b", body, re.MULTILINE), f"{name} imports or exports in a new way"
        self._engine.eval(f"modules['{name}'] = (() => {{'use strict';\n{body}\nreturn {{{', '.join(own)}}};}})();")
        self._exports += own

    def run(self, code: str, **given: Any) -> Any:
        """The value of an expression in which every export has its name, and so has what is given; bytes are bytes."""
        texts = {
            name: _bytes(value) if isinstance(value, bytes) else json.dumps(value) for name, value in given.items()
        }
        names = "".join(f"const {name} = {text};" for name, text in texts.items())
        exports = f"const {{{', '.join(self._exports)}}} = Object.assign({{}}, ...Object.values(modules));"
        back = "JSON.stringify(found instanceof Uint8Array ? {bytes: toBase64(found)} : {value: found})"
        found = json.loads(self._engine.eval(f"(() => {{{exports}{names}const found = ({code});return {back};}})()"))
        return base64.b64decode(found["bytes"]) if "bytes" in found else found.get("value")


def _bytes(value: bytes) -> str:
    return f"fromBase64({json.dumps(base64.b64encode(value).decode())})"


@contextlib.contextmanager
def open_logic() -> Iterator[Logic]:
    with MiniRacer() as engine:
        yield Logic(engine)
