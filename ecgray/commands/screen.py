"""How things are said on a terminal: no control character of a name or a question, colour on a terminal only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

BAR = 20
_COLOURS = {"green": "32", "yellow": "33", "red": "31", "bold": "1"}


def say(text: str) -> None:
    """A line on stdout."""
    print(text, file=sys.stdout)


def say_json(values: Any) -> None:
    """One JSON object on stdout, on one line."""
    say(json.dumps(values, allow_nan=False))


def plain(text: str) -> str:
    r"""The text without control characters, which a terminal would obey.

    >>> plain("a\x1b[31mb")
    'a?[31mb'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def bar(probability: float) -> str:
    """A probability as a bar.

    >>> bar(0.5)
    '##########..........'
    """
    filled = round(BAR * min(max(probability, 0.0), 1.0))
    return "#" * filled + "." * (BAR - filled)


def coloured(text: str, colour: str) -> str:
    """The text in a colour where stdout is a terminal and NO_COLOR is not set."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns under each other, parted by two blanks; no blanks at a line's end.

    >>> table([["a", "bb"], ["ccc", "d"]])
    ['a    bb', 'ccc  d']
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
