"""The physiology in the diffusion's loss: the simulator's equation and the frontal identities (SE-Diff Eq. 18 to 20).

The beat is D_beat(z_0-hat), which the denoiser's words imply (Eq. 24): the paper's D_beat(z_0) does not depend on the
denoiser, and teaches it nothing. It is judged by the slope that the simulator's waves prescribe at each instant for the
record's class, at the record's own heart rate; what stands in Eq. 5 besides the waves, -(z - z_0), is taken from the
beat itself. Slopes are in mV/s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from ecgray.leads import FRONTAL
from ecgray.sediff.config import BEAT_SAMPLES
from ecgray.tables import FS
from ecgray.waveform.fitting import Fit
from ecgray.waveform.simulator import Eta, Waves, course_of, wave_slope

R_AT_S = 0.2
"""Where the R peak lies in a beat."""

IDENTITIES = (
    ("I", "II", "III", 1.0, -1.0),
    ("II", "I", "III", 1.0, 1.0),
    ("III", "II", "I", 1.0, -1.0),
    ("aVR", "I", "II", -0.5, -0.5),
    ("aVL", "I", "III", 0.5, -0.5),
    ("aVF", "II", "III", 0.5, 0.5),
)
"""Eq. 19 as (child, parent, parent, weight, weight). The first three are one identity, three times."""


@dataclass(frozen=True)
class SimulatorLosses:
    """Eq. 18 and 20, summed over the records that could be judged and divided by the number of all.

    So each record counts the same in every batch, however many workers share it and however many could be judged.
    """

    euler: Float[Tensor, ""]
    inter_lead: Float[Tensor, ""]
    judged: int
    """Records whose class has a morphology and whose heart rate is known."""


class BeatSimulator(nn.Module):
    """The classes' morphologies, ready to say how steep each lead must be at each sample of a beat."""

    theta: Tensor
    a: Tensor
    b: Tensor
    baseline: Tensor

    def __init__(self, fit: Fit, *, phases: Literal["milliseconds", "fixed"]) -> None:
        super().__init__()
        self.classes, self.phases = fit.classes, phases
        self.waves = fit.morphology()
        own = fit.at_own_rate().phases((2 * math.pi / fit.rr_s)[:, None, None].expand(-1, 12, 1)[..., 0])
        for name, value in (("theta", own.theta), ("a", own.a), ("b", own.b), ("baseline", fit.baseline_mv)):
            self.register_buffer(name, value.float(), persistent=False)

    def slopes(
        self, cls: Int64[Tensor, " batch"], heart_rate_bpm: Float[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch lead=12 time=300"], Float[Tensor, "batch lead=12 1"]]:
        """The waves' part of dz/dt in mV/s along a beat, and the level z_0 in mV that the voltage is pulled to (Eq. 5).

        `cls` must be a class's place, not -1. The phase runs from -omega 0.2 s, so that R falls at 0.2 s.
        """
        rr_s = 60.0 / heart_rate_bpm.double()
        course = course_of(rr_s[:, None], fs=FS, duration_s=BEAT_SAMPLES / FS, first_r_s=R_AT_S)
        theta = course.phases[0].float()[:, None]  # (batch, 1, time)
        if self.phases == "fixed":
            eta = Eta(self.theta[cls], self.a[cls], self.b[cls])
            rate = torch.ones(1, 1, 1, device=cls.device)
        else:
            waves = self.waves
            of_class = (waves.amplitude_mv, waves.centre_s, waves.width_s)
            amplitude_mv, centre_s, width_s = (part.to(cls.device)[cls] for part in of_class)
            mine = Waves(amplitude_mv, centre_s, width_s, waves.stretches.to(cls.device))
            unit = mine.at(rr_s[:, None, None]).phases(1.0)
            eta = Eta(unit.theta.float(), unit.a.float(), unit.b.float())
            rate = course.omega.float()[:, None]
        leads = Eta(*(part[:, :, None] for part in (eta.theta, eta.a, eta.b)))  # (batch, lead, 1, wave)
        return wave_slope(theta, leads, rate=rate), self.baseline[cls][..., None]

    def losses(
        self,
        beat: Float[Tensor, "batch lead=12 time=300"],
        cls: Int64[Tensor, " batch"],
        heart_rate_bpm: Float[Tensor, " batch"],
        *,
        weight: Float[Tensor, " batch"],
        inter_lead: Literal["mean", "sum"] = "mean",
    ) -> SimulatorLosses:
        """Eq. 18 and 20 of beats in mV, each record times `weight`.

        Records without a class (-1) or a heart rate (NaN) are left out of both, as the paper has it.
        """
        records, judged = len(beat), can_be_judged(cls, heart_rate_bpm)
        if not judged.any():
            return SimulatorLosses(beat.sum() * 0, beat.sum() * 0, 0)
        waves, level = self.slopes(cls[judged], heart_rate_bpm[judged])
        beat, weight = beat[judged].float(), weight[judged]
        prescribed = (waves - (beat - level))[..., :-1]  # f_z
        observed = beat.diff(dim=-1) * FS
        euler = (observed - prescribed).square().mean(dim=(1, 2))
        apart = frontal_slopes(observed, prescribed).square()
        lead = apart.mean(dim=(1, 2)) if inter_lead == "mean" else apart.sum(dim=(1, 2))
        return SimulatorLosses((weight * euler).sum() / records, (weight * lead).sum() / records, int(judged.sum()))


def can_be_judged(cls: Int64[Tensor, " batch"], heart_rate_bpm: Float[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    """Whether a record's class and a plausible heart rate (20 to 300 bpm) are known."""
    return (cls >= 0) & (heart_rate_bpm >= 20) & (heart_rate_bpm <= 300)


def frontal_slopes(
    observed: Float[Tensor, "batch lead=12 time"], prescribed: Float[Tensor, "batch lead=12 time"]
) -> Float[Tensor, "batch identity=6 time"]:
    """How far each frontal lead's own slope is from what its parents' prescribed slopes make of it (Eq. 20)."""
    children, first, second = ([FRONTAL.index(identity[part]) for identity in IDENTITIES] for part in range(3))
    beta, gamma = (
        torch.tensor([identity[part] for identity in IDENTITIES], device=observed.device)[:, None] for part in (3, 4)
    )
    return observed[:, children] - beta * prescribed[:, first] - gamma * prescribed[:, second]
