"""The zero-shot classifier: ECGs and questions in, probabilities out (SuPreME Eq. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int16

from ecgray import __version__
from ecgray.artifact import ModelFolder, load_model, save_model
from ecgray.errors import ArtifactError, ConfigError
from ecgray.leads import LEADS
from ecgray.settings import to_json
from ecgray.supreme.config import QuerySelfAttention, SupremeConfig
from ecgray.supreme.preprocess import PreprocessConfig, preprocess
from ecgray.tables import SAMPLES
from ecgray.text.encoders import TextEncoder, encoder_of

if TYPE_CHECKING:
    from torch import Tensor

    from ecgray.supreme.model import Supreme

KIND = "supreme-classifier"
EMBEDDED = Path(__file__).parents[1] / "supreme" / "embedded"
"""The small classifier that ships: trained by the jobs on drawn and on real recordings; its card says how."""
MOST_VECTORS = 10_000
"""Text vectors that a classifier keeps, 30 MB at width 768; beyond it the oldest half is forgotten."""
SHARED_QUERIES = 2
"""Where a batch asks so many times as many different queries as its longest list has, each record gets its own."""


class Classifier:
    """Answers free-text questions about ECGs. Probabilities are uncalibrated; research use only."""

    def __init__(self, model: Supreme, encoder: TextEncoder, preprocess_config: PreprocessConfig) -> None:
        self.model = model.eval()
        self.encoder = encoder
        self.preprocess = preprocess_config
        self.details: dict[str, Any] = {}
        """What config.json says besides the network: terms, data, figures of its training."""
        self.fingerprint = ""
        self._vectors: dict[str, Float[np.ndarray, " width"]] = {}

    @classmethod
    def from_parts(cls, model: Supreme, encoder: TextEncoder, preprocess: PreprocessConfig) -> Classifier:
        """A classifier of a network, a text encoder and preprocessing settings that fit each other."""
        if model.config.text_width != encoder.width:
            raise ConfigError(
                f"text encoder {encoder.name!r} gives {encoder.width} numbers a query and the network reads "
                f"text_width={model.config.text_width}; the two must be equal."
            )
        return cls(model, encoder, preprocess)

    @classmethod
    def load(cls, folder: Path, *, text_encoder: TextEncoder | None = None, device: str = "cpu") -> Classifier:
        """The classifier in a model folder, every checksum verified.

        `text_encoder` replaces the one that the folder names, where its folder has moved; its weights must be the same.
        Raises `ArtifactError` where the folder is incomplete, altered, or of another version.
        """
        from ecgray.supreme.model import Supreme

        stored = load_model(folder)
        config, preprocessing = _settings(stored)
        encoder = encoder_of(stored, text_encoder, device=device)
        model = Supreme(config)
        _fill(model, stored)
        classifier = cls.from_parts(model.to(device), encoder, preprocessing)
        classifier.details, classifier.fingerprint = stored.field("details", dict), stored.fingerprint
        return classifier

    @classmethod
    def random_like(cls, classifier: Classifier, seed: int) -> Classifier:
        """The same shape with weights drawn from `seed`: the row that stands beside a model's score."""
        import torch

        from ecgray.supreme.model import Supreme

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Supreme(classifier.model.config)
        return cls.from_parts(model, classifier.encoder, classifier.preprocess)

    def save(self, folder: Path, *, card: str, details: Mapping[str, Any] | None = None) -> None:
        """Write the model folder. `details` are plain JSON values: terms, data, figures."""
        save_model(
            folder,
            config={
                "kind": KIND,
                "version": __version__,
                "preset": self.model.config.preset_name,
                "model": to_json(self.model.config),
                "text_encoder": self.encoder.name,
                "text_pooler": self.encoder.pooler,
                "text_fingerprint": self.encoder.fingerprint,
                "details": dict(details or {}),
            },
            preprocessor=to_json(self.preprocess),
            tensors=self.model.state_dict(),
            card=card,
        )

    def probabilities(
        self,
        counts: Int16[np.ndarray, "batch lead=12 time=5000"],
        queries: Sequence[str],
        *,
        query_self_attention: QuerySelfAttention = "diagonal",
    ) -> Float[np.ndarray, "batch query"]:
        """One number in (0, 1) a record and query, uncalibrated: sigmoid of the network's logit (SuPreME Eq. 4).

        With `diagonal` an answer does not depend on what else is asked. `counts` as stored: 1/1000 mV at 500 Hz.
        Raises `ConfigError` where they are not, or a query is empty.
        """
        import torch

        _refuse_odd(counts, queries)
        with torch.inference_mode():
            text = self.embed_queries(queries)
            logits = self.model(self._scaled(counts), text, query_self_attention=query_self_attention)
            return logits.float().sigmoid().cpu().numpy()

    def logits_each(
        self, counts: Int16[np.ndarray, "batch lead=12 time=5000"], queries: Sequence[Sequence[str]]
    ) -> list[Float[np.ndarray, " _"]]:
        """The logits of each record for its own list of queries, in one pass: what a service answers a batch with.

        A logit depends on its record and its query alone. Records that ask much the same share the queries' way up to
        the record; else each has its own list, filled up to the longest.
        """
        import torch

        distinct = list(dict.fromkeys(query for asked in queries for query in asked))
        _refuse_odd(counts, distinct)
        longest = max((len(asked) for asked in queries), default=0)
        place = {query: number for number, query in enumerate(distinct)}
        rows = [[place[query] for query in asked] for asked in queries]
        with torch.inference_mode():
            text = self.embed_queries(distinct)
            if len(distinct) <= SHARED_QUERIES * longest:
                logits = self.model(self._scaled(counts), text, query_self_attention="diagonal").float().cpu().numpy()
                return [row[asked] for row, asked in zip(logits, rows, strict=True)]
            filled = torch.tensor([asked + [0] * (longest - len(asked)) for asked in rows], device=text.device)
            logits = self.model(self._scaled(counts), text[filled], query_self_attention="diagonal")
            found = logits.float().cpu().numpy()
            return [row[: len(asked)] for row, asked in zip(found, rows, strict=True)]

    def explain(
        self, counts: Int16[np.ndarray, "lead=12 time=5000"], query: str, *, step: int = 50, points: int = 128
    ) -> tuple[float, float, Float[np.ndarray, "lead=12 part"]]:
        """Where an answer comes from: its logit, that of a flat line, and what each lead and 0.1 s (`step`) added.

        Integrated gradients (Sundararajan et al. 2017) from the flat line to the ECG at `points` places: the parts add
        up to the difference of the two logits, within what the sum leaves out of the integral.
        """
        import torch

        from ecgray.supreme.attribution import integrated_gradients

        _refuse_odd(counts[None], [query])
        with torch.inference_mode():
            text = self.embed_queries([query]).clone()
            ecg = self._scaled(counts[None])[0].clone()
        logit, base, parts = integrated_gradients(self.model, ecg, text.clone(), points=points)
        return logit, base, parts.unflatten(-1, (-1, step)).sum(-1).cpu().numpy()

    def embed(self, counts: Int16[np.ndarray, "batch lead=12 time=5000"]) -> Float[np.ndarray, "batch width"]:
        """One vector an ECG: the mean of the encoder's tokens."""
        import torch

        with torch.inference_mode():
            return self.model.encode_ecg(self._scaled(counts)).mean(dim=1).float().cpu().numpy()

    def embed_queries(self, queries: Sequence[str]) -> Float[Tensor, "query text"]:
        """The text encoder's vectors, each text encoded once."""
        import torch

        new = sorted({query for query in queries if query not in self._vectors})
        if len(self._vectors) + len(new) > MOST_VECTORS:
            kept = set(queries)
            for old in [text for text in self._vectors if text not in kept][: MOST_VECTORS // 2]:
                del self._vectors[old]
        self._vectors.update(zip(new, self.encoder.encode(new), strict=True) if new else ())
        rows = np.stack([self._vectors[query] for query in queries]) if queries else np.zeros((0, self.encoder.width))
        return torch.from_numpy(rows.astype(np.float32)).to(self._device)

    @property
    def _device(self) -> Any:
        return next(self.model.parameters()).device

    def _scaled(self, counts: Int16[np.ndarray, "batch lead=12 time=5000"]) -> Float[Tensor, "batch lead time"]:
        import torch

        return preprocess(torch.tensor(counts).to(self._device), self.preprocess)


def _refuse_odd(counts: Any, queries: Any) -> None:
    """What would be answered wrongly without a word: millivolts as counts, the letters of one text as queries."""
    kind, shape = getattr(counts, "dtype", type(counts).__name__), getattr(counts, "shape", ())
    if kind != np.int16 or len(shape) != 3 or tuple(shape[1:]) != (len(LEADS), SAMPLES):
        raise ConfigError(
            f"ECGs come as int16 counts of 1/1000 mV in an array (batch, {len(LEADS)}, {SAMPLES}); this is {kind} of "
            f"shape {tuple(shape)}. For millivolts: (1000 * ecg).round().astype(np.int16)."
        )
    if isinstance(queries, str) or not all(isinstance(query, str) and query.strip() for query in queries):
        raise ConfigError('queries is a list of texts, none of them empty, as ["atrial fibrillation"].')


def _settings(stored: ModelFolder) -> tuple[SupremeConfig, PreprocessConfig]:
    known = {"kind", "version", "preset", "model", "text_encoder", "text_pooler", "text_fingerprint", "details"}
    if "kind" in stored.config and stored.config["kind"] != KIND:
        raise ArtifactError(f"{stored.path} holds a {stored.config['kind']!r}; a classifier needs a {KIND!r}.")
    if set(stored.config) != known:
        odd = sorted(set(stored.config) ^ known)
        raise ArtifactError(
            f"{stored.path / 'config.json'} has or lacks the field {odd[0]!r}; this version of ecgray reads exactly "
            f"{', '.join(sorted(known))}."
        )
    return stored.settings("model", SupremeConfig), stored.preprocessing(PreprocessConfig)


def _fill(model: Supreme, stored: ModelFolder) -> None:
    try:
        model.load_state_dict(stored.tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(f"{stored.path} has weights that do not fit its config.json ({reason}).") from None
