"""Hearts for the tests of this room: twelve leads, beats where they are said to be."""

from __future__ import annotations

import math

import torch

from ecgray.sediff.input import twelve_leads
from ecgray.sediff.loss import Beats
from ecgray.sediff.step import Batch


def hearts(records: int, *, seed: int = 0) -> tuple[torch.Tensor, list[list[int]]]:
    """ECGs in mV at 500 Hz, each with its own rate and axis, and their R peaks that have a whole beat around them."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(5000) / 500
    ecgs, peaks = [], []
    for _ in range(records):
        rr, start = (torch.rand(2, generator=generator) * torch.tensor([0.7, 0.6]) + 0.5).tolist()
        r_peaks = [start + beat * rr for beat in range(math.ceil(10 / rr))]
        trace = torch.zeros(3, 5000)
        for peak in r_peaks:
            for wave, (centre, width) in enumerate(((-0.16, 0.02), (0.0, 0.012), (0.25, 0.05))):
                trace[wave] += torch.exp(-((time - peak - centre) ** 2) / (2 * width**2))
        size = torch.tensor([0.1, 1.0, 0.3]) * torch.randn(8, 3, generator=generator)
        ecgs.append(twelve_leads(size @ trace))
        rounded = [round(peak * 500) for peak in r_peaks]
        peaks.append([peak for peak in rounded if 100 <= peak <= 4800])
    return torch.stack(ecgs), peaks


def beats(ecg: torch.Tensor, peaks: list[list[int]], *, pad: float = math.nan) -> Beats:
    """The crops of Eq. 13; padding is NaN, so that whoever reads it is found out."""
    most = max(map(len, peaks))
    crops = torch.full((len(ecg), most, 12, 300), pad)
    real = torch.zeros(len(ecg), most, dtype=torch.bool)
    for record, found in enumerate(peaks):
        for beat, peak in enumerate(found):
            crops[record, beat], real[record, beat] = ecg[record, :, peak - 100 : peak + 200], True
    return Beats(crops, real)


def batch(records: int, *, seed: int = 0) -> Batch:
    ecg, peaks = hearts(records, seed=seed)
    return Batch(ecg, beats(ecg, peaks))
