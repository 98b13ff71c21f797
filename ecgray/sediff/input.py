"""Between recordings and the network: 5,000 samples at 500 Hz in mV on one side, the network's own grid on the other.

Nothing is normalised and nothing is filtered; what is no number counts as 0 mV. The resampled input keeps what lies
below 51.2 Hz and takes the record for one period of a repeating signal, as the peers do: where its ends differ, they
ring a little. The native input is continued by its first and last value, 60 samples (0.12 s) on each side.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int16
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from ecgray.leads import INDEPENDENT, LEADS
from ecgray.sediff.config import VaeConfig
from ecgray.tables import COUNTS_PER_MV, SAMPLES

_INDEPENDENT = [LEADS.index(lead) for lead in INDEPENDENT]
_LARGEST_LIMB, _LARGEST = 16383, 32767  # counts; III is the difference of two limb leads and must fit int16


def resample(ecg: Float[Tensor, "*batch time"], samples: int) -> Float[Tensor, "*batch resampled"]:
    """Another number of samples for the same stretch of time, by the Fourier transform (as `scipy.signal.resample`).

    >>> resample(torch.tensor([0.0, 1.0, 0.0, -1.0]), 8)[:5]
    tensor([0.0000, 0.7071, 1.0000, 0.7071, 0.0000])
    """
    before = ecg.shape[-1]
    kept = min(before, samples)
    spectrum = torch.fft.rfft(ecg)[..., : kept // 2 + 1]
    if kept % 2 == 0 and before != samples:
        # The last bin stands for two frequencies, +f and -f, in the shorter signal and for one of them in the longer.
        factor = torch.ones(kept // 2 + 1, dtype=ecg.dtype, device=ecg.device)
        factor[-1] = 2.0 if samples < before else 0.5
        spectrum = spectrum * factor
    return torch.fft.irfft(spectrum, n=samples) * (samples / before)


def eight_leads(ecg: Float[Tensor, "*batch lead=12 time"]) -> Float[Tensor, "*batch lead=8 time"]:
    """The independent leads: I, II, V1 to V6."""
    return ecg[..., _INDEPENDENT, :]


def twelve_leads(ecg: Float[Tensor, "*batch lead time"]) -> Float[Tensor, "*batch lead=12 time"]:
    """All twelve leads: III, aVR, aVL and aVF follow from I and II (Eq. 19). Twelve leads stay as they are.

    >>> twelve_leads(torch.tensor([1.0, 3.0, 0, 0, 0, 0, 0, 0])[:, None])[:6, 0].tolist()
    [1.0, 3.0, 2.0, -2.0, -0.5, 2.5]
    """
    ecg = ecg.float()  # in bfloat16 the sums would be off by a hundredth
    if ecg.shape[-2] == len(LEADS):
        return ecg
    one, two = ecg[..., :1, :], ecg[..., 1:2, :]
    frontal = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return torch.cat([*frontal, ecg[..., 2:, :]], dim=-2)


def to_grid(ecg: Float[Tensor, "batch lead=12 time=5000"], config: VaeConfig) -> Float[Tensor, "batch lead=12 grid"]:
    """A recording (mV, 500 Hz) on the grid of Eq. 12: 1,024 samples, or the 5,000 that they are."""
    ecg = torch.nan_to_num(ecg.float(), nan=0.0, posinf=0.0, neginf=0.0)
    return resample(ecg, config.samples) if config.input == "resampled" else ecg


def to_network(ecg: Float[Tensor, "batch lead=12 grid"], config: VaeConfig) -> Float[Tensor, "batch lead time"]:
    """What the network sees: 8 or 12 leads, and the native grid padded to 5,120 samples."""
    ecg = eight_leads(ecg) if config.leads == "independent" else ecg
    before, after = _padding(config)
    return F.pad(ecg, (before, after), mode="replicate") if before else ecg


def from_network(ecg: Float[Tensor, "batch lead time"], config: VaeConfig) -> Float[Tensor, "batch lead=12 grid"]:
    """What the network wrote, on the grid of Eq. 12, with twelve leads."""
    before, after = _padding(config)
    return twelve_leads(ecg[..., before : ecg.shape[-1] - after].float())


def to_millivolts(ecg: Float[Tensor, "batch lead time"], config: VaeConfig) -> Float[Tensor, "batch lead=12 time=5000"]:
    """What the network wrote, as 5,000 samples at 500 Hz in mV.

    Leads are derived last, after resampling: the identities of Eq. 19 then hold to the last bit.
    """
    before, after = _padding(config)
    return twelve_leads(resample(ecg[..., before : ecg.shape[-1] - after].float(), SAMPLES))


def _padding(config: VaeConfig) -> tuple[int, int]:
    spare = max(config.samples - SAMPLES, 0)
    return spare // 2, spare - spare // 2


def to_counts(ecg: Float[Tensor, "*batch lead=12 time"]) -> Int16[Tensor, "*batch lead=12 time"]:
    """An ECG in mV as stored counts whose frontal leads agree: I and II are rounded first, the others follow.

    III = II - I then holds exactly, the augmented leads to the half count that rounding leaves: |2 aVR + I + II| <= 1.

    >>> to_counts(twelve_leads(torch.tensor([0.0012, 0.0024, 0, 0, 0, 0, 0, 0])[:, None]))[:6, 0].tolist()
    [1, 2, 1, -2, 0, 2]
    """
    eight = (eight_leads(ecg).double() * COUNTS_PER_MV).round()
    limbs = eight[..., :2, :].clamp(-_LARGEST_LIMB, _LARGEST_LIMB)
    chest = eight[..., 2:, :].clamp(-_LARGEST, _LARGEST)
    one, two = limbs[..., :1, :], limbs[..., 1:, :]
    derived = (two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return torch.cat([limbs, *derived, chest], dim=-2).round().to(torch.int16)
