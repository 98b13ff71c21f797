"""What is said of an ECG besides itself: in JSON, or behind the question mark of an address."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ecgray.errors import ConfigError

MOST_QUERY_LETTERS = 60_000
"""Of an address: web servers stop at 64 KiB."""
_USUAL = {"allow_missing_leads": False, "strict": True, "start_s": 0.0}


@dataclass(frozen=True)
class Said:
    """How an ECG is to be read, and what is asked of it."""

    fs: float | None
    unit: str | None
    leads: Sequence[str] | None
    options: Mapping[str, Any] = field(default_factory=dict)
    queries: Sequence[str] | None = None
    """What the classifier is asked."""
    query: str | None = None
    """The one question that is explained."""
    drawn: Mapping[str, Any] = field(default_factory=dict)
    """How it is drawn on paper."""

    def body(self, sent: Mapping[str, Any]) -> bytes:
        """The JSON that asks about an array or about files; these say themselves how they are to be read."""
        asked: dict[str, Any] = {} if self.queries is None else {"queries": list(self.queries)}
        asked |= {} if self.query is None else {"query": self.query}
        asked |= {"options": dict(self.options)} if self.options else {}
        return dumped({**sent, **asked, **self.drawn})

    def address(self) -> str:
        """The same behind a question mark; raises `ConfigError` where an address cannot hold it.

        >>> Said(250, "mV", ["I", "II"], {"strict": False}, queries=["a b"]).address()
        '?q=a+b&strict=false&fs=250&unit=mV&leads=I%2CII'
        """
        named = [("q", query) for query in ((self.queries or ()) if self.query is None else (self.query,))]
        named += [(name, _word(value)) for name, value in (*self.options.items(), *self.drawn.items())]
        named += [(name, _word(value)) for name, value in (("fs", self.fs), ("unit", self.unit)) if value is not None]
        named += [("leads", ",".join(self.leads))] if self.leads is not None else []
        text = urlencode(named, errors="replace")
        if len(text) > MOST_QUERY_LETTERS:
            raise ConfigError(
                f"the questions fill {len(text):,} letters of an address, which holds {MOST_QUERY_LETTERS:,}; ask "
                "fewer at once, or send the ECG as an array."
            )
        return f"?{text}" if text else ""


def options_of(allow_missing_leads: bool, strict: bool, start_s: float) -> dict[str, Any]:
    """What differs from what the service does by itself.

    >>> options_of(True, True, 0.0)
    {'allow_missing_leads': True}
    """
    said = {"allow_missing_leads": allow_missing_leads, "strict": strict, "start_s": start_s}
    return {name: value for name, value in said.items() if value != _USUAL[name]}


def texts(queries: Sequence[str]) -> list[str]:
    """The questions as a list; raises `ConfigError` for a single text, whose letters would be asked."""
    if isinstance(queries, str):
        raise ConfigError('queries is a list of texts, as ["atrial fibrillation"]; one text would be asked by letters.')
    return list(queries)


def dumped(value: Any) -> bytes:
    """JSON; raises `ConfigError` where a number is none."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise ConfigError("a number is infinite or no number; the service takes finite ones.") from None


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
