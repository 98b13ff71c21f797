"""What the denoiser is told, and what it makes of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from drawn_conditions import draw_condition, make_diffusion

from ecgray.sediff.condition import ConditionEncoder, hide
from ecgray.sediff.diffusion_config import SIZES, ConditionConfig
from ecgray.sediff.texts import encode_texts
from ecgray.text.lexical import LexicalEncoder


def test_hiding_is_as_frequent_as_it_says() -> None:
    condition = draw_condition(20_000, width=2)
    config = ConditionConfig(drop_all=0.2, drop_each=0.1)
    hidden = hide(condition, config, torch.Generator().manual_seed(0))
    assert float(hidden.text_known.float().mean()) == pytest.approx(0.8, abs=0.01)
    assert float(hidden.report_known.float().mean()) == pytest.approx(0.72, abs=0.01)
    assert hidden.numbers_known.float().mean(0).tolist() == pytest.approx([0.72] * 3, abs=0.01)
    nothing = ~hidden.text_known.any(1)
    assert not hidden.report_known[nothing].any()
    assert not hidden.numbers_known[nothing].any()


def test_what_is_unknown_does_not_reach_the_network() -> None:
    """Padding, hidden vectors and hidden numbers may hold anything, NaN included."""
    diffusion, condition = make_diffusion(), draw_condition(3, tokens=4)
    condition = dataclasses.replace(
        condition,
        text_known=torch.tensor([[True, True, False, False]] * 3),
        report_known=torch.zeros(3, 4, dtype=torch.bool),
        numbers_known=torch.tensor([[True, False, False]] * 3),
    )
    other = dataclasses.replace(
        condition,
        text=torch.where(condition.text_known[..., None], condition.text, 77.0),
        report=condition.report * -9,
        numbers=torch.where(condition.numbers_known, condition.numbers, torch.nan),
    )
    noised, time = torch.randn(3, 4, 128), torch.tensor([0, 500, 999])
    assert torch.equal(diffusion(noised, time, condition), diffusion(noised, time, other))


@pytest.mark.parametrize("part", ["text", "report", "age", "sex", "heart rate"])
def test_each_part_that_is_known_matters(part: str) -> None:
    diffusion, condition = make_diffusion(), draw_condition(2)
    numbers = condition.numbers.clone()
    change = {"text": {"text": condition.text.flip(-1)}, "report": {"report": condition.report.flip(-1)}}
    at = {"age": 0, "sex": 1, "heart rate": 2}.get(part)
    if at is not None:
        numbers[:, at] += 1.0
    changed = dataclasses.replace(condition, **change.get(part, {"numbers": numbers}))
    noised, time = torch.randn(2, 4, 128), torch.tensor([300, 700])
    assert (diffusion(noised, time, condition) - diffusion(noised, time, changed)).abs().max() > 1e-5


def test_the_order_of_words_matters_only_where_words_are_read() -> None:
    encoder = LexicalEncoder()
    texts = ["anterior infarction and old inferior infarction", "inferior infarction and old anterior infarction"]
    for tokens, same in (("text", True), ("words", False)):
        config = ConditionConfig(tokens=tokens)  # type: ignore[arg-type]
        torch.manual_seed(0)
        network = ConditionEncoder(config, 32)
        vectors = encode_texts(texts, encoder, tokens=config.tokens, most_tokens=16)
        text, known = vectors.batch(np.array([0, 1]))
        assert known.sum(1).tolist() == ([1, 1] if same else [6, 6])
        condition = dataclasses.replace(draw_condition(2, tokens=text.shape[1]), text=text, text_known=known)
        found, _ = network(condition)
        assert torch.allclose(found[0, : text.shape[1]], found[1, : text.shape[1]], atol=1e-3) == same


def test_texts_are_padded_and_missing_ones_are_unknown() -> None:
    vectors = encode_texts(
        ["sinus rhythm", "", "left bundle branch block"], LexicalEncoder(), tokens="words", most_tokens=3
    )
    assert len(vectors) == 3
    text, known = vectors.batch(np.array([2, -1, 0, 1]))
    assert known.tolist() == [[True] * 3, [False] * 3, [True, True, False], [False] * 3]
    np.testing.assert_allclose(text[2, 0].numpy(), LexicalEncoder().encode(["sinus"])[0], atol=1e-3)


def test_the_network_begins_with_saying_nothing() -> None:
    """Zeroed layers: the first loss is that of a denoiser that says 0, whatever the weights."""
    diffusion = make_diffusion(SIZES["debug"], waken=False)
    assert not diffusion(torch.randn(2, 4, 128), torch.tensor([1, 2]), draw_condition(2)).any()
