"""From stored counts to what the encoder reads. The model folder keeps these settings in preprocessor.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ecgray.errors import ConfigError
from ecgray.leads import LEADS

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Real
    from torch import Tensor

_TINY = 1e-8


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """How counts become numbers near one."""

    scale: Literal["minmax", "millivolt"] = "minmax"
    """minmax: all 12 leads together to [0, 1], as the peers do; millivolt: mV, each lead's median removed."""
    limit_mv: float = 5.0
    """With millivolt: amplitudes bend towards this many mV, so that an artefact cannot drown the rest."""
    zscore: bool = False
    """Afterwards each lead to mean 0 and standard deviation 1 (its amplitude is lost)."""
    fs: int = 500
    """Sampling rate that comes in, in Hz."""
    samples: int = 5000
    """Samples per lead that come in."""
    counts_per_mv: int = 1000
    """Counts per millivolt that come in."""
    leads: tuple[str, ...] = LEADS
    """The order of the leads that come in."""

    def __post_init__(self) -> None:
        if self.leads != LEADS or self.fs != 500 or self.samples != 5000 or self.counts_per_mv != 1000:
            raise ConfigError(
                f"preprocessing of {len(self.leads)} leads, {self.samples} samples at {self.fs} Hz and "
                f"{self.counts_per_mv} counts/mV is not built; records hold 12 leads, 5000 samples, 500 Hz, 1000."
            )


def preprocess(
    counts: Real[np.ndarray, "batch lead=12 time"] | Real[Tensor, "batch lead=12 time"], config: PreprocessConfig
) -> Float[Tensor, "batch lead=12 time"]:
    """Scale stored counts (int16, or the same as float32, which may be overwritten) for the encoder.

    >>> import numpy as np
    >>> ramp = np.arange(12 * 5000).reshape(1, 12, 5000).astype(np.int16)
    >>> scaled = preprocess(ramp, PreprocessConfig())
    >>> scaled.min().item(), round(scaled.max().item(), 6), scaled.dtype
    (0.0, 1.0, torch.float32)
    """
    import torch

    if not isinstance(counts, torch.Tensor):
        counts = torch.from_numpy(counts if counts.flags.writeable else counts.copy())
    ecg = _minmax(counts) if config.scale == "minmax" else _millivolt(counts, config)
    if config.zscore:
        deviation, mean = torch.std_mean(ecg, dim=-1, keepdim=True)
        ecg = (ecg - mean) / (deviation + _TINY)
    return ecg


def _minmax(counts: Real[Tensor, "batch lead time"]) -> Float[Tensor, "batch lead time"]:
    low = counts.amin(dim=(1, 2), keepdim=True).float()
    high = counts.amax(dim=(1, 2), keepdim=True).float()
    return (counts.float() - low) / (high - low + _TINY)


def _millivolt(counts: Real[Tensor, "batch lead time"], config: PreprocessConfig) -> Float[Tensor, "batch lead time"]:
    baseline = _lower_median(counts[..., ::5].float())
    ecg = counts.float().sub_(baseline).mul_(1 / config.counts_per_mv)
    return ecg.mul_(1 / config.limit_mv).tanh_().mul_(config.limit_mv)


def _lower_median(values: Float[Tensor, "batch lead part"]) -> Float[Tensor, "batch lead 1"]:
    """`torch.median`, which on a CPU takes seven times as long as NumPy's sort by vector instructions."""
    if values.device.type != "cpu":
        return values.median(dim=-1, keepdim=True).values
    import numpy as np
    import torch

    place = (values.shape[-1] - 1) // 2
    return torch.from_numpy(np.sort(values.numpy(), axis=-1)[..., place, None])
