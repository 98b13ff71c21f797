"""A prompt that names neither rate nor rhythm is drawn at a usual rate, the same for the same seed and number."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ecgray.models.generator import EMBEDDED, Generator
from ecgray.sediff.assumptions import FASTEST_USUAL_BPM, SLOWEST_USUAL_BPM, assumed_rate, with_assumptions
from ecgray.sediff.prompts import Prompt
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.waveform.delineator.reader import WaveReader

NORMAL = Prompt(text="normal ecg")


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(text="normal ecg", heart_rate_bpm=45),
        Prompt(text="normal ecg, rate 45"),
        Prompt(text="sinus rhythm, normal ecg"),
        Prompt(text="left bundle branch block, atrial fibrillation"),
        Prompt(text="paced rhythm"),
        Prompt(text="inferior infarction, no atrial fibrillation"),
        Prompt(text="frequent PVCs"),
        Prompt(text="tachycardia"),
        Prompt(text="Der Patient hat Fieber"),
        Prompt(text="Afib with LBBB"),
        Prompt(text="LVH in afib"),
        Prompt(text="svt with RBBB"),
        Prompt(text="rbbb, svt"),
        Prompt(text="LBBB with fast rate"),
        Prompt(text="LVH with heart rate of about 150"),
        Prompt(text="LVH, bradycardic"),
        Prompt(text="LVH, irregular"),
        Prompt(text="variable av block"),
        Prompt(text="second degree av block, type two"),
        Prompt(text="complete heart block"),
        Prompt(text="LVH", experience="atrial fibrillation with rapid ventricular response"),
    ],
)
def test_what_is_said_is_not_assumed(prompt: Prompt):
    assert assumed_rate(prompt, 1, 0) is None
    assert with_assumptions([prompt], 1, np.array([0])) == [prompt]


@pytest.mark.parametrize(
    "text",
    ["normal ecg", "lbbb", "no lbbb, LVH", "first degree AV block", "inferior mi, left axis deviation", "prolonged QT"],
)
def test_what_is_not_said_is_assumed(text: str):
    assert assumed_rate(Prompt(text=text), 1, 0) is not None
    assert assumed_rate(Prompt(text=text, experience="left ventricular hypertrophy"), 1, 0) is not None


def test_the_rates_are_those_of_a_heart_at_rest_and_depend_on_seed_and_number():
    rates = np.array([assumed_rate(NORMAL, 2**53 - 1, number) for number in range(2000)])
    assert rates.min() >= SLOWEST_USUAL_BPM
    assert rates.max() <= FASTEST_USUAL_BPM
    assert np.array_equal(rates, np.round(rates))
    assert 71 < rates.mean() < 74
    assert 8 < rates.std() < 10.5
    told = with_assumptions([NORMAL] * 3, 2**53 - 1, np.array([5, 0, 5]))
    assert [each.heart_rate_bpm for each in told] == [rates[5], rates[0], rates[5]]
    assert assumed_rate(NORMAL, 0, 0) != assumed_rate(NORMAL, 1, 0)


def test_a_bare_finding_has_a_regular_rhythm():
    generator, sampling = Generator.load(EMBEDDED), SamplingConfig(sampler="sde-dpm++", steps=25, guidance_scale=1.5)
    counts = generator.generate([NORMAL] * 8, seed=3, sampling=sampling)
    told = [dataclasses.replace(NORMAL, heart_rate_bpm=assumed_rate(NORMAL, 3, number)) for number in range(8)]
    assert np.array_equal(counts, generator.generate(told, seed=3, sampling=sampling))
    found = WaveReader.load().measure(counts.astype(np.float32) / 1000)
    variation = [np.std(rr) / np.mean(rr) for rr in (np.diff(each.r_peaks) for each in found)]
    assert np.median(variation) < 0.08  # 0.2 where nothing is assumed
    off = [abs(each.values["heart_rate_bpm"] - prompt.heart_rate_bpm) for each, prompt in zip(found, told, strict=True)]
    assert np.median(off) < 2
