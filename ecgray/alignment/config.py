"""What a scorer is made of: which encoder reads the ECG, how wide the space is in which it meets the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ecgray.errors import ConfigError
from ecgray.supreme.config import SIZES as SUPREME_SIZES
from ecgray.supreme.config import EncoderConfig
from ecgray.supreme.preprocess import PreprocessConfig

EncoderKind = Literal["resnet", "supreme"]


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A 1-D residual network with squeeze-and-excitation, on 125 Hz (four samples of 500 Hz averaged)."""

    widths: tuple[int, ...] = (32, 64, 96, 128)
    """Channels of the stages; each but the first halves the rate."""
    blocks: int = 1
    """Residual blocks in each stage."""
    kernel: int = 7
    """Samples that a convolution sees."""
    squeeze: int = 4
    """The channels' weights go through so many times fewer numbers."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or self.blocks < 1 or self.squeeze < 1:
            raise ConfigError(
                f"resnet has widths={self.widths}, blocks={self.blocks} and squeeze={self.squeeze}; all must be at "
                "least 1."
            )
        if self.kernel % 2 == 0 or self.kernel < 1:
            raise ConfigError(f"resnet has kernel={self.kernel}; it must be odd, so that a sample lies in its middle.")


@dataclass(frozen=True, kw_only=True)
class ScorerConfig:
    """An ECG and a text in, how well they agree out (a cosine). The paper scores rCLIP and rFID in such a space."""

    encoder: EncoderKind = "resnet"
    """Who reads the ECG: resnet, or SuPreME's transformer (supreme). Table 9 asks whether the choice matters."""
    resnet: ResNetConfig = field(default_factory=ResNetConfig)
    """The residual network, where it reads."""
    supreme: EncoderConfig = field(default_factory=lambda: SUPREME_SIZES["laptop"].encoder)
    """The transformer, where it reads."""
    preprocess: PreprocessConfig = field(default_factory=lambda: PreprocessConfig(scale="millivolt"))
    """From stored counts to what the encoder reads; amplitudes are kept, as a generator may get them wrong."""
    width: int = 64
    """Numbers in an embedding; also the space of the Frechet distance."""
    text_width: int = 768
    """Width of the frozen text encoder's vectors."""
    text_hidden: int = 256
    """Hidden width of the text's projector."""
    dropout: float = 0.1
    """Dropout before either projector, and the transformer's drop path."""
    temperature: float = 0.07
    """What cosines are divided by at the start; it is learnt."""

    def __post_init__(self) -> None:
        if min(self.width, self.text_width, self.text_hidden) < 1:
            raise ConfigError(
                f"width={self.width}, text_width={self.text_width} and text_hidden={self.text_hidden} must be at least "
                "1; the peer's space has 64."
            )
        if not 0 <= self.dropout < 1 or not 0.01 <= self.temperature <= 1:
            raise ConfigError(
                f"dropout={self.dropout} must lie in [0, 1) and temperature={self.temperature} in [0.01, 1]; CLIP "
                "starts at 0.07."
            )


SIZES: dict[str, ScorerConfig] = {
    "debug": ScorerConfig(resnet=ResNetConfig(widths=(8, 16)), width=16, text_hidden=32),
    "laptop": ScorerConfig(),
    "full": ScorerConfig(
        resnet=ResNetConfig(widths=(64, 128, 256, 512), blocks=2), supreme=SUPREME_SIZES["vit_tiny"].encoder
    ),
}
"""Scorers by name: debug for tests, laptop for two CPU cores, full for a GPU."""
