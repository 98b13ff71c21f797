"""Statements and answers as rows of token ids: drawn by the grammar, or what a larger model answered."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from ecgray.errors import ConfigError
from ecgray.ner.grammar import Statement, draw_statement
from ecgray.ner.strangers import draw_unknown
from ecgray.parquet import read_table
from ecgray.text.entities import AnswerError, read_answer

if TYPE_CHECKING:
    from ecgray.ner.step import Row

HELD_OUT_PAIRS = 20
"""One in so many pairs of a larger model is kept to score by."""


def draw_pairs(number: int, *, seed: int, step: int, unknown_share: float) -> list[Statement]:
    """The pairs of one step: a function of seed and step, so that a resumed run sees the same on any workers."""
    rng = random.Random(f"{seed}/{step}/0")
    return [draw_unknown(rng) if rng.random() < unknown_share else draw_statement(rng) for _ in range(number)]


@dataclass(frozen=True)
class TaughtPairs:
    """What a larger model answered: statements to learn from, and some to score by."""

    train: tuple[Statement, ...]
    held_out: tuple[Statement, ...]
    passed_over: int
    """Rows without an answer, or with one that is none."""

    def of_step(self, number: int, *, seed: int, step: int) -> list[Statement]:
        """The pairs of one step: every pass over all of them has an order of its own."""
        total = len(self.train)
        places = range(step * number, (step + 1) * number)
        return [self.train[_order(total, seed, place // total)[place % total]] for place in places]


_ORDERS: dict[tuple[int, int, int], list[int]] = {}


def _order(total: int, seed: int, epoch: int) -> list[int]:
    key = (total, seed, epoch)
    if key not in _ORDERS:
        if len(_ORDERS) > 1:
            _ORDERS.clear()
        _ORDERS[key] = random.Random(f"{seed}/{epoch}").sample(range(total), total)
    return _ORDERS[key]


def read_pairs(folder: Path, *, model: str | None) -> TaughtPairs:
    """The pairs of a table with the columns `text` and `answer`: an extract job's cache, or one of your own.

    Entities whose cited words do not stand in the text are left out. Raises `ConfigError` where the table lacks the
    columns, holds the answers of several models and `model` names none of them, or has too few answers.
    """
    table = read_table(folder)
    if not {"text", "answer"} <= set(table.column_names):
        raise ConfigError(f"{folder} has the columns {', '.join(table.column_names)}; pairs need text and answer.")
    table = _of_one_model(table, folder, model)
    pairs: dict[str, Statement] = {}
    passed_over = 0
    for text, answer in zip(table["text"].to_pylist(), table["answer"].to_pylist(), strict=True):
        try:
            pairs[text] = Statement(text, read_answer(text, answer or ""))
        except AnswerError:
            passed_over += 1
    if len(pairs) < HELD_OUT_PAIRS:
        raise ConfigError(
            f"{folder} holds {len(pairs)} answers that can be read; at least {HELD_OUT_PAIRS} are needed."
        )
    ordered = [pairs[text] for text in sorted(pairs)]
    random.Random(0).shuffle(ordered)
    return TaughtPairs(
        tuple(ordered[len(ordered) // HELD_OUT_PAIRS :]), tuple(ordered[: len(ordered) // HELD_OUT_PAIRS]), passed_over
    )


def _of_one_model(table: pa.Table, folder: Path, model: str | None) -> pa.Table:
    if "model_hash" not in table.column_names:
        return table
    models = pc.unique(table["model_hash"]).to_pylist()
    if model is None and len(models) > 1:
        raise ConfigError(f"{folder} holds answers of the models {', '.join(models)}; name one with --pairs-model.")
    if model is not None and model not in models:
        raise ConfigError(f"{folder} holds no answer of model {model}; it has {', '.join(models)}.")
    return table.filter(pc.equal(table["model_hash"], model)) if model else table


def rows_of(
    pairs: Sequence[Statement], prompt: Callable[[str], list[int]], answer: Callable[[Statement], list[int]]
) -> list[Row]:
    """The token ids of prompts and answers."""
    return [(prompt(pair.text), answer(pair)) for pair in pairs]
