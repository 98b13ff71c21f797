"""What a language model answers about a statement: entities, how sure the statement is of each, and its own words.

The engine enforces `ANSWER_SCHEMA`, so an answer is JSON of this shape or cut short:

    {"unknown": false, "entities": [{"cited": "lvh by voltage", "entity": "left ventricular hypertrophy",
                                     "certainty": "Abnormal"}]}

`cited` comes first, so that a model reads before it names. An entity whose cited words do not stand in the statement is
an invention: it is dropped and counted.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

Certainty = Literal["Normal", "Abnormal", "Uncertain"]
CERTAINTIES: tuple[Certainty, ...] = ("Normal", "Abnormal", "Uncertain")
MAX_ENTITIES = 64
"""Entities of one answer."""

ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "unknown": {"type": "boolean"},
        "entities": {
            "type": "array",
            "maxItems": MAX_ENTITIES,
            "items": {
                "type": "object",
                "properties": {
                    "cited": {"type": "string"},
                    "entity": {"type": "string"},
                    "certainty": {"type": "string", "enum": list(CERTAINTIES)},
                },
                "required": ["cited", "entity", "certainty"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["unknown", "entities"],
    "additionalProperties": False,
}
"""JSON schema of an answer."""


@dataclass(frozen=True)
class Entity:
    """One finding that a statement names."""

    name: str
    """Lower case, as the model words it; the embedded model answers with standard terms."""
    certainty: Certainty
    """Normal or Abnormal: what kind of finding is stated; Uncertain: stated with a hedge."""
    cited: str
    """The words of the statement that say so."""


@dataclass(frozen=True)
class Reading:
    """What an answer, of a model or of a clinician, says of its statement."""

    entities: tuple[Entity, ...]
    unknown: bool
    """The model says that the statement, or a part of it, lies outside what it knows."""
    uncited: int = 0
    """Entities that were dropped because their cited words do not stand in the statement."""
    corrected: bool = False
    """A clinician says so, and no model."""

    @property
    def status(self) -> str:
        """The word of the statements table for what the answer says."""
        if self.corrected:
            return "corrected"
        if self.unknown:
            return "partly" if self.entities else "unknown"
        if not self.entities and self.uncited:
            return "uncited"
        return "read" if self.entities else "nothing"


class AnswerError(Exception):
    """An answer that is none. `code` is a stable word; the message holds nothing of statement or answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_answer(statement: str, answer: str) -> Reading:
    """The reading that an answer gives of its statement. Same entity and certainty twice counts once.

    Raises `AnswerError` where the answer is not what the schema asks for (an engine that was cut short, or enforces
    nothing).

    >>> said = '{"unknown": false, "entities": [{"cited": "LVH", "entity": "lvh", "certainty": "Abnormal"}]}'
    >>> read_answer("possible lvh", said).entities
    (Entity(name='lvh', certainty='Abnormal', cited='LVH'),)
    >>> read_answer("sinus rhythm", said).uncited
    1
    """
    found = load_answer(answer)
    if not _fits(found):
        raise AnswerError("answer_off_schema", "The answer is JSON of another shape than the schema asks for.")
    words = _words(statement)
    kept: dict[tuple[str, str], Entity] = {}
    uncited = 0
    for each in found["entities"]:
        name = " ".join(each["entity"].lower().split())
        if not name or not stands_in(_words(each["cited"]), words):
            uncited += 1
            continue
        kept.setdefault((name, each["certainty"]), Entity(name, each["certainty"], " ".join(each["cited"].split())))
    return Reading(tuple(kept.values()), found["unknown"], uncited)


def load_answer(answer: str) -> Any:
    """The JSON of an answer. Raises `AnswerError` where it is none, or deeper than any answer is."""
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        raise AnswerError("answer_not_json", "The answer is no JSON; it may have been cut short.") from None


def _fits(found: Any) -> bool:
    if not isinstance(found, dict) or set(found) != {"unknown", "entities"} or not isinstance(found["unknown"], bool):
        return False
    entities = found["entities"]
    return isinstance(entities, list) and len(entities) <= MAX_ENTITIES and all(_is_entity(each) for each in entities)


def _is_entity(each: Any) -> bool:
    return (
        isinstance(each, dict)
        and set(each) == {"cited", "entity", "certainty"}
        and all(isinstance(value, str) and _is_text(value) for value in each.values())
        and each["certainty"] in CERTAINTIES
    )


def _is_text(value: str) -> bool:
    r"""Whether UTF-8 can say it: JSON may spell half a character, as "\ud800", and no table takes that."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def stands_in(cited: list[str], statement: list[str]) -> bool:
    """Whether the cited words stand in the statement in this order; others may stand between ("inferior ... infarct").

    >>> stands_in(["inferior", "infarct"], ["inferior", "and", "lateral", "infarct"]), stands_in([], ["af"])
    (True, False)
    """
    rest = iter(statement)
    return bool(cited) and all(word in rest for word in cited)


def write_answer(reading: Reading) -> str:
    """The answer that `read_answer` reads as this, without white space: what a model is trained to say."""
    entities = [{"cited": each.cited, "entity": each.name, "certainty": each.certainty} for each in reading.entities]
    return json.dumps({"unknown": reading.unknown, "entities": entities}, separators=(",", ":"), ensure_ascii=False)
