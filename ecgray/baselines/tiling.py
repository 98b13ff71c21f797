"""Ten seconds out of one beat: its R peak put at equal distances, and what lies between faded from beat to beat."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ecgray.baselines.config import BEAT_FS, BEAT_R, BEAT_SAMPLES
from ecgray.tables import FS, SAMPLES

BEFORE_S, AFTER_S = BEAT_R / BEAT_FS, (BEAT_SAMPLES - 1 - BEAT_R) / BEAT_FS
"""What a beat holds before and after its R peak: 0.256 s and 0.45 s."""
_FINER = 4
QRS_S = 0.08
"""What is a beat's own on either side of R, however near the next one is."""


def tile(
    beat: Float[Tensor, "batch lead sample"], rr_s: Float[Tensor, " batch"], first_s: Float[Tensor, " batch"]
) -> Float[Tensor, "batch lead time=5000"]:
    """A strip of 10 s at 500 Hz with R peaks at first_s + k rr_s.

    Between two R peaks the earlier beat is followed, then the later one. Where both reach the same stretch (a rate
    above 85 bpm) they are faded into each other over it; where neither does, the level at the end of one goes over into
    that at the start of the other.

    >>> strip = tile(torch.ones(1, 1, 128), torch.tensor([0.9]), torch.tensor([0.1]))
    >>> bool((strip == 1).all())
    True
    """
    time = torch.arange(SAMPLES, device=beat.device) / FS
    since = (time - first_s[:, None]) % rr_s[:, None]  # (batch, time): since the last R peak
    until = since - rr_s[:, None]  # the next one, as a negative time
    meet = torch.stack([torch.full_like(rr_s, AFTER_S), rr_s - BEFORE_S])
    fade_from = meet.amin(0).clamp(min=QRS_S).minimum(rr_s / 2)
    fade_to = meet.amax(0).minimum(rr_s - QRS_S).maximum(rr_s / 2 + 1 / FS)
    later = ((since - fade_from[:, None]) / (fade_to - fade_from)[:, None]).clamp(0, 1)
    # Smooth at both ends of the fade: a corner would look like a wave of its own.
    later = (later * later * (3 - 2 * later))[:, None]
    fine = _finer(beat)
    return _at(fine, since) * (1 - later) + _at(fine, until) * later


def _finer(beat: Float[Tensor, "batch lead sample"]) -> Float[Tensor, "batch lead fine"]:
    """Three more samples in each gap, by cubics: a straight line at 180 Hz would cut QRS complexes down."""
    samples = (BEAT_SAMPLES - 1) * _FINER + 1
    return F.interpolate(beat[:, :, None], size=(1, samples), mode="bicubic", align_corners=True)[:, :, 0]


def _at(
    beat: Float[Tensor, "batch lead fine"], seconds: Float[Tensor, "batch time"]
) -> Float[Tensor, "batch lead time"]:
    """The beat at times from its R peak, between samples in a straight line; its ends are held."""
    place = ((BEAT_R + seconds * BEAT_FS) * _FINER).clamp(0, beat.shape[-1] - 1)
    left = place.floor().clamp(max=beat.shape[-1] - 2)
    index = left.long()[:, None].expand(-1, beat.shape[1], -1)
    part = (place - left)[:, None]
    return torch.lerp(beat.gather(2, index), beat.gather(2, index + 1), part.expand_as(index).to(beat.dtype))
