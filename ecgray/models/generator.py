"""The generator: clinical text in, 10 s, 12-lead ECGs out (SE-Diff section 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32, Int16, Int64

from ecgray import __version__
from ecgray.artifact import save_model
from ecgray.errors import ConfigError
from ecgray.models.baseline import BASELINE_KIND, BaselineGenerator
from ecgray.models.loading import batches, check_width, encode_prompts, fill, open_generator
from ecgray.sediff.assumptions import with_assumptions
from ecgray.sediff.config import VaeConfig
from ecgray.sediff.diffusion_config import DiffusionConfig
from ecgray.sediff.prompts import Limits, Prompt
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.settings import to_json
from ecgray.text.encoders import TextEncoder, encoder_of

if TYPE_CHECKING:
    from torch import Tensor

    from ecgray.sediff.condition import Condition
    from ecgray.sediff.diffusion import Diffusion
    from ecgray.sediff.vae import Vae

KIND = "sediff-generator"
EMBEDDED = Path(__file__).parents[1] / "sediff" / "embedded"
"""The small generator that ships: trained by the jobs on drawn and on real recordings; its card says how."""


class Generator:
    """Draws ECGs that fit a text. What it draws is synthetic; research use only."""

    def __init__(self, vae: Vae, diffusion: Diffusion, encoder: TextEncoder) -> None:
        check_width(encoder, diffusion.config.condition)
        self.vae, self.diffusion, self.encoder = vae.eval(), diffusion.eval(), encoder
        self.details: dict[str, Any] = {}
        """What config.json says besides the networks: data, figures and settings of the training."""
        self.limits = Limits()
        """What it is known not to draw."""
        self.fingerprint = ""

    @classmethod
    def load(cls, folder: Path, *, text_encoder: TextEncoder | None = None, device: str = "cpu") -> Generator:
        """The generator in a model folder, every checksum verified; OUT of a train_diffusion job will do.

        Raises `ArtifactError` where the folder is damaged or holds another kind of model.
        """
        from ecgray.sediff.diffusion import Diffusion
        from ecgray.sediff.vae import Vae

        stored = open_generator(folder, KIND)
        encoder = encoder_of(stored, text_encoder, device=device)
        vae = Vae(stored.settings("vae", VaeConfig))
        diffusion = Diffusion(stored.settings("diffusion", DiffusionConfig), latent_channels=vae.config.latent_channels)
        for name, network in (("vae", vae), ("diffusion", diffusion)):
            fill(network, stored.tensors, prefix=f"{name}.", folder=stored.path)
        generator = cls(vae.to(device), diffusion.to(device), encoder)
        generator.details, generator.fingerprint = stored.field("details", dict), stored.fingerprint
        generator.limits = stored.detail("limits", Limits)
        return generator

    def save(self, folder: Path, *, card: str, details: Mapping[str, Any], half: bool = False) -> None:
        """Write the model folder; `half` stores the weights in float16, as those that ship are."""
        tensors = {f"vae.{name}": value for name, value in self.vae.state_dict().items()}
        tensors |= {f"diffusion.{name}": value for name, value in self.diffusion.state_dict().items()}
        if half:
            tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
        save_model(
            folder,
            config={
                "kind": KIND,
                "version": __version__,
                "preset": self.diffusion.config.preset_name,
                "vae": to_json(self.vae.config),
                "diffusion": to_json(self.diffusion.config),
                "text_encoder": self.encoder.name,
                "text_pooler": self.encoder.pooler,
                "text_fingerprint": self.encoder.fingerprint,
                "details": dict(details),
            },
            preprocessor={"fs_hz": 500, "unit": "mV", "counts_per_mv": 1000, "filter": "none", "scale": "none"},
            tensors=tensors,
            card=card,
        )

    @property
    def device(self) -> Any:
        """Where its networks lie."""
        return next(self.diffusion.parameters()).device

    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise `ConfigError` where this diffusion cannot be sampled so."""
        from ecgray.sediff.sampling import make_scheduler

        make_scheduler(self.diffusion.config.schedule, sampling)
        if sampling.guidance_scale != 1 and not self.diffusion.config.condition.drop_all:
            raise ConfigError(
                f"guidance_scale={sampling.guidance_scale:g} needs a generator that has seen ECGs without a condition, "
                "and this one was trained with drop_all=0; use guidance_scale=1."
            )

    def condition(self, prompts: Sequence[Prompt]) -> Condition:
        """What the denoiser reads of these prompts; each distinct text is encoded once."""
        return encode_prompts(prompts, self.encoder, self.diffusion.config.condition).to(self.device)

    def latents(
        self,
        prompts: Sequence[Prompt],
        *,
        seed: int,
        index: Int64[np.ndarray, " ecg"] | None = None,
        sampling: SamplingConfig | None = None,
        batch_size: int = 32,
        bf16: bool = False,
        progress: Callable[[], object] | None = None,
    ) -> Float[Tensor, "ecg latent step"]:
        """One scaled latent a prompt: what `generate` decodes.

        Latent number n depends on its prompt, on `seed` and on `index[n]` (n itself by default); a prompt without rate
        and rhythm is drawn at a usual rate (`ecgray.sediff.assumptions`). Of several batches the last is filled up, so
        that all have one size: the same sums are then rounded in the same way.
        """
        import torch

        from ecgray.sediff.noise import stream_keys
        from ecgray.sediff.sampling import sample

        numbers = np.arange(len(prompts)) if index is None else index
        told = with_assumptions(prompts, seed, numbers)
        found = []
        for rows in batches(len(prompts), batch_size):
            keys = stream_keys(seed, torch.from_numpy(numbers[rows].astype(np.int64)).to(self.device))
            condition = self.condition([told[row] for row in rows.tolist()])
            found.append(
                sample(self.diffusion, condition, keys, sampling or SamplingConfig(), bf16=bf16, progress=progress)
            )
        return torch.cat(found)[: len(prompts)]

    def decode(
        self, latents: Float[Tensor, "ecg latent step"], *, batch_size: int = 32
    ) -> Float32[np.ndarray, "ecg lead=12 time=5000"]:
        """The ECGs of scaled latents in mV at 500 Hz."""
        import torch

        with torch.inference_mode():
            parts = [self.vae.decode(latents[rows]).cpu().numpy() for rows in batches(len(latents), batch_size)]
        return np.concatenate(parts)[: len(latents)]

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        seed: int,
        index: Int64[np.ndarray, " ecg"] | None = None,
        sampling: SamplingConfig | None = None,
        batch_size: int = 32,
        bf16: bool = False,
        progress: Callable[[], object] | None = None,
    ) -> Int16[np.ndarray, "ecg lead=12 time=5000"]:
        """One ECG a prompt, as counts of 1/1000 mV at 500 Hz; frontal leads agree (see `to_counts`)."""
        import torch

        from ecgray.sediff.input import to_counts

        if not prompts:
            return np.zeros((0, 12, 5000), np.int16)
        latents = self.latents(
            prompts, seed=seed, index=index, sampling=sampling, batch_size=batch_size, bf16=bf16, progress=progress
        )
        return to_counts(torch.from_numpy(self.decode(latents, batch_size=batch_size))).numpy()


def load_generator(
    folder: Path, *, text_encoder: TextEncoder | None = None, device: str = "cpu"
) -> Generator | BaselineGenerator:
    """Whatever generator a model folder holds: SE-Diff's, or one of the baselines; both draw in the same way.

    Raises `ArtifactError` where the folder is damaged or holds another kind of model.
    """
    kind = open_generator(folder, KIND, BASELINE_KIND).config["kind"]
    found = Generator if kind == KIND else BaselineGenerator
    return found.load(folder, text_encoder=text_encoder, device=device)
