"""A baseline as a generator: called as SE-Diff's is, kept in a folder of its own kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int16, Int64

from ecgray import __version__
from ecgray.artifact import save_model
from ecgray.baselines.config import BaselineConfig
from ecgray.models.loading import batches, check_width, encode_prompts, fill, open_generator
from ecgray.sediff.assumptions import with_assumptions
from ecgray.sediff.prompts import Limits, Prompt
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.settings import to_json
from ecgray.text.encoders import TextEncoder, encoder_of

if TYPE_CHECKING:
    from ecgray.baselines.model import Baseline

BASELINE_KIND = "baseline-generator"


class BaselineGenerator:
    """Draws ECGs as one of the baselines does. What it draws is synthetic; research use only."""

    def __init__(self, baseline: Baseline, encoder: TextEncoder) -> None:
        check_width(encoder, baseline.config.condition)
        self.baseline, self.encoder = baseline.eval(), encoder
        self.details: dict[str, Any] = {}
        """What config.json says besides the network: data, figures and settings of the training."""
        self.limits = Limits()
        """What it is known not to draw."""
        self.fingerprint = ""

    @classmethod
    def load(cls, folder: Path, *, text_encoder: TextEncoder | None = None, device: str = "cpu") -> BaselineGenerator:
        """The baseline in a model folder, every checksum verified; OUT of a train_baseline job will do.

        Raises `ArtifactError` where the folder is damaged or holds another kind of model.
        """
        from ecgray.baselines.model import Baseline

        stored = open_generator(folder, BASELINE_KIND)
        encoder = encoder_of(stored, text_encoder, device=device)
        baseline = Baseline(stored.settings("baseline", BaselineConfig))
        fill(baseline, stored.tensors, prefix="", folder=stored.path)
        generator = cls(baseline.to(device), encoder)
        generator.details, generator.fingerprint = stored.field("details", dict), stored.fingerprint
        generator.limits = stored.detail("limits", Limits)
        return generator

    def save(self, folder: Path, *, card: str, details: Mapping[str, Any]) -> None:
        """Write the model folder."""
        save_model(
            folder,
            config={
                "kind": BASELINE_KIND,
                "version": __version__,
                "preset": self.baseline.config.kind,
                "baseline": to_json(self.baseline.config),
                "text_encoder": self.encoder.name,
                "text_pooler": self.encoder.pooler,
                "text_fingerprint": self.encoder.fingerprint,
                "details": dict(details),
            },
            preprocessor={"fs_hz": 500, "unit": "mV", "counts_per_mv": 1000, "filter": "none", "scale": "none"},
            tensors=self.baseline.state_dict(),
            card=card,
        )

    @property
    def device(self) -> Any:
        """Where its network lies."""
        return self.baseline.std.device

    def check_sampling(self, sampling: SamplingConfig) -> None:
        """Raise `ConfigError` where this kind cannot draw so."""
        from ecgray.sediff.sampling import make_scheduler

        self.baseline.config.check_sampling(sampling)
        make_scheduler(self.baseline.config.schedule, sampling)

    def draw(
        self,
        prompts: Sequence[Prompt],
        *,
        seed: int,
        index: Int64[np.ndarray, " ecg"] | None = None,
        sampling: SamplingConfig | None = None,
        batch_size: int = 32,
        progress: Callable[[], object] | None = None,
    ) -> Float32[np.ndarray, "ecg lead=12 time=5000"]:
        """One ECG a prompt in mV at 500 Hz; number n depends on its prompt, `seed` and `index[n]` (n by default)."""
        import torch

        from ecgray.sediff.noise import stream_keys

        config = self.baseline.config
        numbers = np.arange(len(prompts)) if index is None else index
        asked = with_assumptions(prompts, seed, numbers)
        found = [np.zeros((0, 12, 5000), np.float32)]
        for rows in batches(len(prompts), batch_size):
            keys = stream_keys(seed, torch.from_numpy(numbers[rows].astype(np.int64)).to(self.device))
            told = encode_prompts([asked[row] for row in rows.tolist()], self.encoder, config.condition)
            drawn = self.baseline.draw(told.to(self.device), keys, sampling or config.sampling, progress=progress)
            found.append(drawn.float().cpu().numpy())
        return np.concatenate(found)[: len(prompts)]

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
        """One ECG a prompt, as counts of 1/1000 mV at 500 Hz; frontal leads agree. It is never drawn in bfloat16."""
        import torch

        from ecgray.sediff.input import to_counts

        del bf16  # the transform of the state spaces knows no such numbers
        drawn = self.draw(prompts, seed=seed, index=index, sampling=sampling, batch_size=batch_size, progress=progress)
        return to_counts(torch.from_numpy(drawn)).numpy()
