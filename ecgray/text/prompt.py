"""What a language model is told and asked: a plain file, a JSON schema, and a hash that stands beside every answer.

`extract` asks for the entities of a statement (or of a report), `merge` which of a report's entities are the same,
`experience` for a paragraph on a record and on those like it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ecgray.settings import fingerprint
from ecgray.text.entities import ANSWER_SCHEMA, MAX_ENTITIES, AnswerError, load_answer, read_answer
from ecgray.text.experience import REPORT_SCHEMA, read_report

Purpose = Literal["extract", "merge", "experience"]

GROUPS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "groups": {
            "type": "array",
            "maxItems": MAX_ENTITIES,
            "items": {
                "type": "object",
                "properties": {
                    "entity": {"type": "string"},
                    "members": {"type": "array", "minItems": 1, "maxItems": MAX_ENTITIES, "items": {"type": "string"}},
                },
                "required": ["entity", "members"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["groups"],
    "additionalProperties": False,
}
"""JSON schema of an answer to `merge`."""

_SCHEMAS: Mapping[Purpose, dict[str, Any]] = {
    "extract": ANSWER_SCHEMA,
    "merge": GROUPS_SCHEMA,
    "experience": REPORT_SCHEMA,
}


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn: greedily at the first attempt; the second may differ, but always in the same way."""

    max_tokens: int
    """Tokens of an answer at the first attempt; twice as many at the second."""
    second_temperature: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class Prompt:
    """A question to a language model without the text that it is asked about."""

    purpose: Purpose
    system: str
    """The whole file: knowledge, rules, examples."""
    sampling: Sampling

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of an answer; the engine lets no other answer pass."""
        return _SCHEMAS[self.purpose]

    @property
    def hash(self) -> str:
        """Twelve digits of all that decides an answer besides the text and the model."""
        sampling = self.sampling
        return fingerprint(
            self.purpose,
            self.system,
            json.dumps(self.schema),  # the order of the fields matters: it is the order in which they are answered
            [sampling.max_tokens, sampling.second_temperature, sampling.seed],
        )

    def messages(self, text: str) -> list[dict[str, str]]:
        """The conversation that asks about `text`, for a chat template."""
        return [{"role": "system", "content": self.system}, {"role": "user", "content": text}]

    def check(self, text: str, answer: str) -> None:
        """Raise `AnswerError` where the answer to `text` is none."""
        if self.purpose == "extract":
            read_answer(text, answer)
        elif self.purpose == "experience":
            read_report(text, answer)
        else:
            read_groups(text.split("\n"), answer)


def load_prompt(purpose: Purpose, *, max_tokens: int = 512) -> Prompt:
    """The prompt of a purpose, from its file beside this module."""
    return Prompt(purpose, prompt_file(purpose).strip(), Sampling(max_tokens))


@functools.cache
def prompt_file(purpose: Purpose) -> str:
    """The text of `prompts/PURPOSE.md`."""
    return prompt_path(purpose).read_text("utf-8")


def prompt_path(purpose: Purpose) -> Path:
    """Where `prompts/PURPOSE.md` lies."""
    return Path(__file__).parent / "prompts" / f"{purpose}.md"


def merge_question(names: Sequence[str]) -> str:
    """What `merge` is asked about the entities of a report: one name a line, sorted, so that reports share it."""
    return "\n".join(sorted(set(names)))


def read_groups(names: Sequence[str], answer: str) -> dict[str, str]:
    """Which name each name goes by, from an answer to `merge`.

    A name that the answer leaves out goes by itself. Raises `AnswerError` where the answer is not of the schema's
    shape, puts a name into two groups, or brings a name that was not asked about: a merge invents nothing.

    >>> read_groups(["af", "atrial fibrillation"], '{"groups": [{"entity": "atrial fibrillation", "members": ["af"]}]}')
    {'af': 'atrial fibrillation', 'atrial fibrillation': 'atrial fibrillation'}
    """
    found = load_answer(answer)
    if not _fits(found):
        raise AnswerError("answer_off_schema", "The answer is JSON of another shape than the schema asks for.")
    goes_by = {name: name for name in names}
    placed: set[str] = set()
    for group in found["groups"]:
        members = {group["entity"], *group["members"]}
        if not members <= goes_by.keys() or members & placed or len(set(group["members"])) < len(group["members"]):
            raise AnswerError("answer_off_schema", "The answer names an entity twice, or one that was not asked about.")
        placed |= members
        goes_by |= dict.fromkeys(members, group["entity"])
    return goes_by


def _fits(found: Any) -> bool:
    if not isinstance(found, dict) or set(found) != {"groups"} or not isinstance(found["groups"], list):
        return False
    return len(found["groups"]) <= MAX_ENTITIES and all(_is_group(each) for each in found["groups"])


def _is_group(each: Any) -> bool:
    return (
        isinstance(each, dict)
        and set(each) == {"entity", "members"}
        and isinstance(each["entity"], str)
        and isinstance(each["members"], list)
        and 0 < len(each["members"]) <= MAX_ENTITIES
        and all(isinstance(member, str) for member in each["members"])
    )
