"""Score a statement reader through the engine that serves it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray.cluster.engine import Engine, EngineSettings, make_engine
from ecgray.ner.grammar import Statement, draw_statement
from ecgray.ner.score import ReadingScore, score_readings
from ecgray.ner.strangers import draw_unknown
from ecgray.text.entities import AnswerError, Reading, read_answer
from ecgray.text.prompt import load_prompt

if TYPE_CHECKING:
    from ecgray.ner.pairs import TaughtPairs
    from ecgray.recipes.train_ner import TrainNerConfig

_TEST_SEED = "test statements"


def score_model(folder: Path, config: TrainNerConfig, taught: TaughtPairs | None) -> dict[str, Any]:
    """Exact (entity, certainty) F1 on statements never trained on, and how many strange ones it calls unknown."""
    engine = make_engine("vllm", EngineSettings(model=folder, gpu=config.gpu))
    if taught is not None:
        return {"f1_held_out": round(_score(engine, taught.held_out).f1, 4), "passed_over": taught.passed_over}
    rng = random.Random(_TEST_SEED)
    number = config.score_statements
    held_out = _score(engine, [draw_statement(rng, part="held out") for _ in range(number)])
    drawn = _score(engine, [draw_statement(rng) for _ in range(number)])
    strange = _score(engine, [draw_unknown(rng) for _ in range(number)])
    return {
        "f1_held_out_pairs": round(held_out.f1, 4),
        "f1_drawn": round(drawn.f1, 4),
        "exact_drawn": round(drawn.exact / drawn.statements, 4),
        "known_called_unknown": round(drawn.unknown_share, 4),
        "unknown_said": round(strange.unknown_share, 4),
    }


def _score(engine: Engine, statements: Sequence[Statement]) -> ReadingScore:
    said = read_all(engine, [each.text for each in statements])
    return score_readings(said, [each.reading for each in statements])


def read_all(engine: Engine, texts: Sequence[str]) -> list[Reading | None]:
    """What the engine's model reads in each text; None where its answer is none."""
    answers = engine.ask(texts, load_prompt("extract"), 0)
    return [_reading(text, each.answer) for text, each in zip(texts, answers, strict=True)]


def _reading(text: str, answer: str | None) -> Reading | None:
    try:
        return read_answer(text, answer or "")
    except AnswerError:
        return None
