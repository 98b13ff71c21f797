"""Single readings that a clinician corrects: statements, and what they state, in a file that overrules the model.

A CSV file that spreadsheets open and save, one line an entity:

    statement,entity,certainty
    Electric axis of the heart: normal,normal axis,Normal
    Sinus node: see above,none,

Lines of the same statement are its entities together; `none` says that it states nothing of the heart. A line without
an entity has no opinion. Other columns, a note for instance, are free.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from ecgray.errors import ConfigError
from ecgray.text.entities import CERTAINTIES, Entity, Reading
from ecgray.text.spreadsheet import NONE, csv_rows, unescaped
from ecgray.text.statements import texts_of
from ecgray.text.wording import plain_name

COLUMNS = ("statement", "entity", "certainty")
_WANTED = f"a CSV file with the columns {', '.join(COLUMNS)}"
_CERTAINTIES = {each.lower(): each for each in CERTAINTIES}


def read_readings(path: Path, *, unit: Literal["statement", "report"]) -> dict[str, Reading]:
    """What a clinician says, by the text that a model would be asked about: a statement, or with `unit` a report.

    Each entity cites its whole statement. Raises `ConfigError`, naming the line but nothing that a report says, where
    a line cannot be meant or two lines contradict each other.
    """
    readings: dict[str, Reading] = {}
    for line, row in csv_rows(path, COLUMNS, wanted=_WANTED):
        statement, entity, certainty = (unescaped(row[name] or "") for name in COLUMNS)
        try:
            if not _has_opinion(entity, certainty):
                continue
            text = _text(statement, unit)
            said = _reading(text, plain_name(entity), certainty)
            readings[text] = _together(readings[text], said) if text in readings else said
        except ConfigError as error:
            raise ConfigError(f"{path}, line {line}: {error}") from None
    return readings


def _has_opinion(entity: str, certainty: str) -> bool:
    if plain_name(entity):
        return True
    if plain_name(certainty):
        raise ConfigError(f"it has a certainty and no entity; name one, or write '{NONE}'.")
    return False


def _text(statement: str, unit: Literal["statement", "report"]) -> str:
    """The statement as the job cuts and cleans it."""
    texts = texts_of(statement, unit=unit, min_words=0)
    if not texts:
        raise ConfigError("it has an entity and no statement; write the statement that says so.")
    if len(texts) > 1:
        raise ConfigError(f"its statement is cut into {len(texts)} statements; give each a line of its own.")
    return texts[0]


def _reading(text: str, name: str, certainty: str) -> Reading:
    """The reading of one line."""
    if name == NONE:
        return Reading((), unknown=False, corrected=True)
    sure = _CERTAINTIES.get(plain_name(certainty))
    if sure is None:
        raise ConfigError(
            f"its certainty is none of {', '.join(CERTAINTIES)}; write one of them, and a cell that holds the "
            "separator in quotation marks."
        )
    return Reading((Entity(name, sure, text),), unknown=False, corrected=True)


def _together(before: Reading, said: Reading) -> Reading:
    """The reading of several lines of the same statement."""
    if bool(before.entities) != bool(said.entities):
        raise ConfigError(f"its statement is given as '{NONE}' and with an entity; keep one of the two.")
    certainties = {each.name: each.certainty for each in before.entities}
    new = [each for each in said.entities if each.name not in certainties]
    if any(certainties.get(each.name, each.certainty) != each.certainty for each in said.entities):
        raise ConfigError("its statement has the same entity with another certainty before; keep one line of it.")
    return replace(before, entities=(*before.entities, *new))
