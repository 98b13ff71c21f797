"""Several drawings in one batch, each at its own step: what each comes to is what it comes to alone."""

from __future__ import annotations

import pytest
import torch
from drawn_conditions import draw_condition, make_diffusion

from ecgray.sediff.condition import Condition
from ecgray.sediff.diffusion import Diffusion
from ecgray.sediff.noise import stream_keys
from ecgray.sediff.sampling import Drawing, sample, step_together
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.sediff.unet import joined

ORDERS = [
    (2, 1, SamplingConfig(sampler="ddpm", steps=5, guidance_scale=2)),
    (1, 4, SamplingConfig(sampler="ddim", steps=9, guidance_scale=1)),
    (3, 2, SamplingConfig(sampler="dpm++", steps=4, guidance_scale=0)),
    (1, 1, SamplingConfig(sampler="sde-dpm++", steps=7, guidance_scale=1.5)),
]


@pytest.fixture(scope="module")
def diffusion() -> Diffusion:
    return make_diffusion()


def order(number: int) -> tuple[Condition, torch.Tensor, SamplingConfig]:
    count, tokens, sampling = ORDERS[number]
    return draw_condition(count, tokens=tokens, seed=number), stream_keys(number, torch.arange(count)), sampling


@torch.inference_mode()
def begun(diffusion: Diffusion, number: int) -> Drawing:
    condition, keys, sampling = order(number)
    return Drawing(diffusion, condition, keys, sampling)


def test_drawings_that_start_and_end_at_different_times_are_drawn_as_alone(diffusion: Diffusion):
    """Of different sizes, steps, samplers, guidance and lengths of text."""
    alone = [sample(diffusion, *order(number)) for number in range(4)]
    starts = {0: 0, 1: 0, 2: 3, 3: 5}
    drawings: dict[int, Drawing] = {}
    for tick in range(20):
        drawings |= {number: begun(diffusion, number) for number, start in starts.items() if start == tick}
        active = [each for each in drawings.values() if not each.finished]
        if active:
            step_together(diffusion, active, joined([each.context for each in active]))
    for number, drawing in drawings.items():
        assert drawing.finished
        assert drawing.done == ORDERS[number][2].steps
        torch.testing.assert_close(drawing.latent, alone[number], atol=1e-4, rtol=0)


def test_the_steps_of_one_drawing_are_those_of_sampling(diffusion: Diffusion):
    drawing, counted = begun(diffusion, 3), 0
    while not drawing.finished:
        step_together(diffusion, [drawing], drawing.context)
        counted += 1
        assert drawing.done == counted
    assert torch.equal(drawing.latent, sample(diffusion, *order(3)))


def test_guidance_asks_twice_and_none_once(diffusion: Diffusion):
    for number, (count, _, sampling) in enumerate(ORDERS):
        drawing = begun(diffusion, number)
        latents, times = drawing.asked()
        both = count if sampling.guidance_scale == 1 else 2 * count
        assert len(latents) == len(times) == len(drawing.context) == both
        assert times.unique().numel() == 1


def test_joined_contexts_are_filled_up_with_what_does_not_count(diffusion: Diffusion):
    """A longer neighbour changes nothing: the denoiser says of each what it says of it alone."""
    contexts = [
        diffusion.context(draw_condition(count, tokens=tokens, seed=tokens))
        for count, tokens in ((1, 1), (2, 6), (1, 3))
    ]
    together = joined(contexts)
    assert len(together) == 4
    assert together.known.shape == (4, max(each.known.shape[1] for each in contexts))
    latent = torch.randn(4, *diffusion.shape, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([3.0, 500.0, 500.0, 900.0])
    with torch.inference_mode():
        said = diffusion.denoiser(latent, time, together)
        place = 0
        for context in contexts:
            rows = slice(place, place + len(context))
            torch.testing.assert_close(
                diffusion.denoiser(latent[rows], time[rows], context), said[rows], atol=1e-5, rtol=1e-5
            )
            assert torch.equal(together.known[rows].sum(1), context.known.sum(1))
            place += len(context)


def test_one_context_alone_is_joined_to_itself(diffusion: Diffusion):
    context = diffusion.context(draw_condition(2, tokens=3))
    again = joined([context])
    assert torch.equal(again.pooled, context.pooled)
    assert torch.equal(again.known, context.known)
    assert all(map(torch.equal, again.keys_values, context.keys_values))
