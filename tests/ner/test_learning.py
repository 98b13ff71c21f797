"""The reader learns: a step lowers the loss, short and long rows add up, pairs of a larger model are read."""

import pyarrow as pa
import pytest
import torch

from ecgray.errors import ConfigError
from ecgray.ner.config import NerModelConfig, NerOptimizerConfig
from ecgray.ner.model import build_model
from ecgray.ner.pairs import draw_pairs, read_pairs, rows_of
from ecgray.ner.score import score_readings
from ecgray.ner.step import AnswerLoss, learning_rate, make_ner_optimizer, ner_step
from ecgray.ner.tokens import AnswerTokens, build_tokenizer
from ecgray.parquet import write_table
from ecgray.tables import CACHE
from ecgray.text.entities import Entity, Reading, write_answer

CONFIG = NerOptimizerConfig(learning_rate=3e-3, warmup_steps=1)


@pytest.fixture(scope="module")
def rows():
    tokens = AnswerTokens(build_tokenizer())
    pairs = draw_pairs(16, seed=1, step=0, unknown_share=0.2)
    return rows_of(pairs, tokens.prompt, lambda pair: tokens.reading(pair.reading))


def tiny():
    torch.manual_seed(0)
    return AnswerLoss(build_model(NerModelConfig(width=32, layers=1, heads=2, feed_forward=64), build_tokenizer()))


def step(loss, rows, optimizer, chunk, rate=3e-3):
    total = float(sum(len(answer) for _, answer in rows))
    return ner_step(
        loss, rows, optimizer=optimizer, config=CONFIG, rate=rate, total=total, pad=0, chunk=chunk, bf16=False
    )


def test_it_overfits_sixteen_statements(rows):
    loss = tiny()
    optimizer = make_ner_optimizer(loss, CONFIG)
    values = [step(loss, rows, optimizer, chunk=16, rate=1e-2) for _ in range(120)]
    assert values[-1] < values[0] / 8


def test_a_step_is_the_same_however_it_is_cut(rows):
    losses, weights = [], []
    for chunk in (16, 5):
        loss = tiny()
        losses.append(step(loss, rows, make_ner_optimizer(loss, CONFIG), chunk))
        weights.append(torch.cat([weight.flatten() for weight in loss.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert torch.allclose(weights[0], weights[1], atol=1e-4)


def test_the_loss_is_that_of_the_library(rows):
    loss = tiny()
    prompt, answer = rows[0]
    tokens = torch.tensor([prompt + answer])
    targets = torch.tensor([[-100] * len(prompt) + answer])
    theirs = loss.model(input_ids=tokens, labels=targets).loss * len(answer)
    assert loss(tokens, targets).item() == pytest.approx(theirs.item(), rel=1e-4)


def test_the_learning_rate_rises_once_and_falls_once():
    rates = [learning_rate(NerOptimizerConfig(warmup_steps=5), each, 50) for each in range(50)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_each_step_draws_other_statements_and_always_the_same():
    one, other = (draw_pairs(8, seed=0, step=place, unknown_share=0.2) for place in (0, 1))
    assert one != other
    assert one == draw_pairs(8, seed=0, step=0, unknown_share=0.2)


def cache(folder, models, rows_each=30):
    said = write_answer(Reading((Entity("sinus rhythm", "Normal", "sinus"),), unknown=False))
    rows = [(f"sinus {place}", model, said) for model in models for place in range(rows_each)]
    rows.append(("not json", models[0], "{"))
    columns = {name: pa.nulls(len(rows), CACHE.field(name).type) for name in CACHE.names}
    for name, place in (("text", 0), ("model_hash", 1), ("answer", 2)):
        columns[name] = pa.array([row[place] for row in rows], pa.string())
    write_table(pa.table(columns, schema=CACHE), folder / "part-0.parquet")
    return folder


def test_pairs_of_a_larger_model(tmp_path):
    taught = read_pairs(cache(tmp_path, ["70b"]), model=None)
    assert (len(taught.train), len(taught.held_out), taught.passed_over) == (29, 1, 1)
    epoch = [each.text for place in range(29) for each in taught.of_step(1, seed=0, step=place)]
    assert sorted(epoch) == sorted(each.text for each in taught.train)
    second_pass = [each.text for place in range(29, 58) for each in taught.of_step(1, seed=0, step=place)]
    assert sorted(second_pass) == sorted(epoch)
    assert second_pass != epoch


def test_answers_of_two_models_are_not_mixed(tmp_path):
    folder = cache(tmp_path, ["70b", "8b"])
    with pytest.raises(ConfigError, match="--pairs-model"):
        read_pairs(folder, model=None)
    assert len(read_pairs(folder, model="8b").train) == 29


def test_scores():
    gold = [Reading((Entity("lvh", "Abnormal", "lvh"),), unknown=False), Reading((), unknown=True)]
    hedged = Reading((Entity("lvh", "Uncertain", "lvh"),), unknown=False)
    score = score_readings([hedged, Reading((), unknown=True)], gold)
    assert (score.precision, score.recall, score.f1, score.unknown, score.exact) == (0, 0, 0, 1, 1)
