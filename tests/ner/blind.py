"""The blind statements (blind_statements.md): read from their file, and scored."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ecgray.text.entities import Certainty, Entity, Reading

SEEN_ROWS = 19
"""The first rows were read by the grammar's author before the grammar was final; they are left out."""


@dataclass(frozen=True)
class Blind:
    """A statement that somebody wrote without seeing the grammar, and what it says."""

    text: str
    reading: Reading
    note: str


def read_blind() -> list[Blind]:
    """Every statement of the file that the grammar's author had not seen."""
    with (Path(__file__).with_name("blind_statements.csv")).open(newline="") as file:
        rows = list(csv.DictReader(file))[SEEN_ROWS:]
    return [Blind(row["statement"], _reading(row), row["note"]) for row in rows]


def _reading(row: dict[str, str]) -> Reading:
    entities = [each.rpartition(":") for each in row["entities"].split("|") if each]
    return Reading(
        tuple(Entity(name, cast("Certainty", certainty), row["statement"]) for name, _, certainty in entities),
        unknown=row["unknown"] == "true",
    )
