"""The variational autoencoder: an ECG in, a latent of 4 x 128, and from it the ECG and one beat (SE-Diff Eq. 11)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ecgray.sediff.beat import BeatDecoder
from ecgray.sediff.blocks import AttentionBlock, Double, Halve, Head, ResidualBlock, Stem, group_norm
from ecgray.sediff.config import VaeConfig
from ecgray.sediff.input import from_network, to_grid, to_millivolts, to_network

LOGVAR_RANGE = (-30.0, 20.0)
"""The posterior's log variance is clamped to this."""
SMALLEST_STD = 1e-6
"""Latents are never divided by less, even where all that were measured are alike."""


def _middle(config: VaeConfig) -> list[nn.Module]:
    width = config.widths[-1]
    return [
        ResidualBlock(width, width, dropout=config.dropout),
        AttentionBlock(width, config.attention_heads, norm=config.attention_norm),
        ResidualBlock(width, width, dropout=config.dropout),
    ]


class Encoder(nn.Module):
    """Eight or twelve leads become the mean and the log variance of a latent, at an eighth of the stem's rate."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = [Stem(config.lead_count, config.widths[0], stride=config.stem_stride)]
        width = config.widths[0]
        for level, out in enumerate(config.widths):
            layers += [Halve(width)] if level else []
            for _ in range(config.blocks):
                layers.append(ResidualBlock(width, out, dropout=config.dropout))
                width = out
        both = 2 * config.latent_channels
        layers += [*_middle(config), group_norm(width), nn.SiLU(), nn.Conv1d(width, both, 3, padding=1)]
        last = nn.Conv1d(both, both, 1)
        with torch.no_grad():
            last.bias[config.latent_channels :] += config.logvar_start  # type: ignore[index]
        self.layers = nn.Sequential(*layers, last)

    def forward(
        self, ecg: Float[Tensor, "batch lead time"]
    ) -> tuple[Float[Tensor, "batch latent step"], Float[Tensor, "batch latent step"]]:
        """The mu and log sigma^2 of Eq. 11."""
        mean, logvar = self.layers(ecg).float().chunk(2, dim=1)
        return mean, logvar.clamp(*LOGVAR_RANGE)


class Decoder(nn.Module):
    """A latent becomes eight or twelve leads: the encoder's mirror."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        latent, width = config.latent_channels, config.widths[-1]
        layers: list[nn.Module] = [nn.Conv1d(latent, latent, 1), nn.Conv1d(latent, width, 3, padding=1)]
        layers += _middle(config)
        for level, out in enumerate(reversed(config.widths)):
            layers += [Double(width)] if level else []
            for _ in range(config.blocks):
                layers.append(ResidualBlock(width, out, dropout=config.dropout))
                width = out
        self.layers = nn.Sequential(*layers, Head(width, config.lead_count, stride=config.stem_stride))

    def forward(self, latent: Float[Tensor, "batch latent step"]) -> Float[Tensor, "batch lead time"]:
        """The signal in mV, on the network's grid."""
        return self.layers(latent)


@dataclass(frozen=True)
class VaeOutput:
    """What one training pass gives; all in float32."""

    ecg: Float[Tensor, "batch lead=12 grid"]
    """The reconstruction in mV, on the grid of `to_grid`."""
    beat: Float[Tensor, "batch lead=12 time=300"]
    """One beat in mV at 500 Hz, its R peak at sample 100."""
    mean: Float[Tensor, "batch latent step"]
    logvar: Float[Tensor, "batch latent step"]


class Vae(nn.Module):
    """Encoder, decoder, beat decoder, and the scale of the latents.

    >>> from ecgray.sediff.config import SIZES
    >>> vae = Vae(SIZES["debug"]).eval()
    >>> ecg = torch.zeros(2, 12, 5000)
    >>> vae.encode(ecg).shape, vae.reconstruct(ecg).shape
    (torch.Size([2, 4, 128]), torch.Size([2, 12, 5000]))
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.beat_decoder = BeatDecoder(config)
        self.register_buffer("latent_mean", torch.zeros(config.latent_channels, 1))
        self.register_buffer("latent_std", torch.tensor(config.fixed_std))

    def forward(
        self, ecg: Float[Tensor, "batch lead=12 grid"], *, generator: torch.Generator | None = None
    ) -> VaeOutput:
        """One training pass over an ECG on the grid of `to_grid`, through a drawn latent (Eq. 11)."""
        mean, logvar = self.encoder(to_network(ecg, self.config))
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        latent = mean + (logvar / 2).exp() * noise  # Eq. 11
        decoded = from_network(self.decoder(latent), self.config)
        return VaeOutput(ecg=decoded, beat=self.beat_decoder(latent), mean=mean, logvar=logvar)

    def encode(self, ecg: Float[Tensor, "batch lead=12 time=5000"]) -> Float[Tensor, "batch latent step"]:
        """The latent of recordings (mV, 500 Hz) as it is stored and diffused: the posterior's mean, scaled."""
        mean, _ = self.encoder(to_network(to_grid(ecg, self.config), self.config))
        return (mean - self.latent_mean) / self.latent_std

    def decode(self, latent: Float[Tensor, "batch latent step"]) -> Float[Tensor, "batch lead=12 time=5000"]:
        """Recordings (mV, 500 Hz) from scaled latents."""
        return to_millivolts(self.decoder(self._unscaled(latent)), self.config)

    def decode_beat(self, latent: Float[Tensor, "batch latent step"]) -> Float[Tensor, "batch lead=12 time=300"]:
        """One beat (mV, 500 Hz, R peak at sample 100) from scaled latents, h of Eq. 13 to 20; differentiable."""
        return self.beat_decoder(self._unscaled(latent))

    def reconstruct(self, ecg: Float[Tensor, "batch lead=12 time=5000"]) -> Float[Tensor, "batch lead=12 time=5000"]:
        """Recordings (mV, 500 Hz) through the latent and back."""
        return self.decode(self.encode(ecg))

    def set_latent_scale(self, statistics: LatentStatistics) -> None:
        """Scale latents to mean 0 and deviation 1 on the records measured; `statistics` are of unscaled latents.

        Does nothing where the scale is not a measured one.
        """
        if self.config.latent_scale == "measured":
            self.latent_mean.copy_(statistics.mean[:, None])
            self.latent_std.copy_(statistics.std.clamp(min=SMALLEST_STD))

    def _unscaled(self, latent: Float[Tensor, "batch latent step"]) -> Float[Tensor, "batch latent step"]:
        return latent * self.latent_std + self.latent_mean


class LatentStatistics:
    """Mean of each latent channel and one deviation for all, from batches; those of several workers add up.

    One deviation, not four: a channel that carries nothing would be blown up to the size of those that do.

    >>> statistics = LatentStatistics()
    >>> statistics.add(torch.tensor([[[1.0, 3.0]], [[5.0, 7.0]]]))
    >>> statistics.mean.tolist(), round(statistics.std.item(), 3)
    ([4.0], 2.236)
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = torch.zeros(0, dtype=torch.float64)
        self.squares = torch.zeros(0, dtype=torch.float64)

    def add(self, latent: Float[Tensor, "batch latent step"]) -> None:
        """Count a batch of unscaled latents."""
        values = latent.detach().to("cpu", torch.float64)
        self._grow(values.shape[1])
        self.count += values.shape[0] * values.shape[2]
        self.total += values.sum(dim=(0, 2))
        self.squares += values.square().sum(dim=(0, 2))

    def merge(self, other: LatentStatistics) -> None:
        """Count what another worker has counted."""
        if other.count:
            self._grow(len(other.total))
            self.count += other.count
            self.total += other.total
            self.squares += other.squares

    def _grow(self, channels: int) -> None:
        if not self.count:
            self.total, self.squares = (torch.zeros(channels, dtype=torch.float64) for _ in range(2))

    @property
    def mean(self) -> Float[Tensor, " latent"]:
        """The mean of each channel."""
        return self.total / self.count

    @property
    def std(self) -> Float[Tensor, ""]:
        """The deviation from the channels' means, over all channels."""
        return (self.squares / self.count - self.mean.square()).mean().clamp(min=0).sqrt()


def parameter_count(model: nn.Module) -> int:
    """Trained numbers in a network."""
    return sum(weight.numel() for weight in model.parameters())
