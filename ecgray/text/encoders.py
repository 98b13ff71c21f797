"""Frozen text encoders, words in and vectors out: a HF folder or hub name (MedCPT), or the embedded lexical one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args, runtime_checkable

import numpy as np
from jaxtyping import Float

from ecgray.errors import ArtifactError, ConfigError
from ecgray.text.lexical import LEXICAL, LexicalEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from ecgray.artifact import ModelFolder


Pooler = Literal["cls", "pooler"]


@runtime_checkable
class TextEncoder(Protocol):
    """What turns queries, entities and reports into vectors. Frozen: the same text gives the same vector."""

    name: str
    width: int
    pooler: Pooler
    """Which of the network's outputs is the vector."""
    fingerprint: str
    """Twelve digits that change when the vectors would."""

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """One float32 vector a text."""
        ...


@runtime_checkable
class TokenEncoder(TextEncoder, Protocol):
    """A text encoder that can give a vector for each word too; all that ship can."""

    def encode_tokens(self, texts: Sequence[str], *, most: int) -> list[Float[np.ndarray, "_ width"]]:
        """One float32 vector for each word, or piece of a word, of each text; `most` of them at the most."""
        ...


def load_text_encoder(
    spec: str, *, pooler: Pooler = "cls", max_tokens: int = 64, batch: int = 64, device: str = "cpu"
) -> TokenEncoder:
    """The encoder that `spec` names: "lexical", a folder with a HF model, or a hub name.

    Raises `ConfigError` where there is no such folder, or it is not in the local cache while offline.

    >>> load_text_encoder("lexical").encode(["sinus rhythm"]).shape
    (1, 768)
    """
    if spec == LEXICAL:
        return LexicalEncoder()
    if Path(spec).is_dir():  # workers run in folders of their own
        spec = str(Path(spec).absolute())
    return HuggingFaceEncoder(spec, pooler=pooler, max_tokens=max_tokens, batch=batch, device=device)


def encoder_of(stored: ModelFolder, given: TextEncoder | None = None, *, device: str = "cpu") -> TextEncoder:
    """The text encoder that a model was trained with: `given`, or loaded to `device`.

    Raises `ArtifactError` where `given`, or the one that has the name today, is another one.
    """
    own, pooler, mark = (stored.field(name, str) for name in ("text_encoder", "text_pooler", "text_fingerprint"))
    if pooler not in get_args(Pooler):
        raise ArtifactError(f"{stored.path} has text_pooler={pooler!r}, which must be cls or pooler; export it again.")
    encoder = given or load_text_encoder(own, pooler=cast("Pooler", pooler), device=device)
    if encoder.fingerprint != mark:
        raise ArtifactError(
            f"{stored.path} was trained with text encoder {own!r} ({mark}), and "
            f"{encoder.name!r} is {encoder.fingerprint}; give the text encoder that it was trained with."
        )
    return encoder


class HuggingFaceEncoder:
    """A frozen transformer from a folder or the hub; safetensors only, no code of the model's repository is run."""

    def __init__(self, spec: str, *, pooler: Pooler, max_tokens: int, batch: int, device: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        if Path(spec).is_absolute() and not Path(spec).is_dir():
            raise ConfigError(f"there is no folder {spec}; give a folder with a HF model, a hub name, or 'lexical'.")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(spec, trust_remote_code=False)
            self._model = AutoModel.from_pretrained(spec, trust_remote_code=False, use_safetensors=True)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"text encoder {spec!r} cannot be loaded ({str(error).splitlines()[0]}); give a folder with a HF model "
                "in safetensors, a hub name that is in the cache or online, or 'lexical'."
            ) from None
        self._model.eval().requires_grad_(False).to(device)
        self._max_tokens, self._batch, self._device = max_tokens, batch, device
        self.name, self.pooler = spec, pooler
        self.width = int(self._model.config.hidden_size)
        self.fingerprint = _weights_hash(self._model, pooler, max_tokens)

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """One vector a text: the first token's last state (cls) or the model's own pooler output."""
        starts = range(0, len(texts), self._batch)
        parts = [self._encode_batch(list(texts[start : start + self._batch])) for start in starts]
        return np.concatenate([np.zeros((0, self.width), np.float32), *parts])

    def encode_tokens(self, texts: Sequence[str], *, most: int) -> list[Float[np.ndarray, "_ width"]]:
        """The last states of each text's tokens, the first and the special ones among them."""
        found: list[Float[np.ndarray, "_ width"]] = []
        for start in range(0, len(texts), self._batch):
            tokens, output = self._run(list(texts[start : start + self._batch]), most=min(most, self._max_tokens))
            states, real = output.last_hidden_state.float().cpu().numpy(), tokens["attention_mask"].cpu().numpy() > 0
            found += [row[there] for row, there in zip(states, real, strict=True)]
        return found

    def _encode_batch(self, texts: list[str]) -> Float[np.ndarray, "text width"]:
        _, output = self._run(texts, most=self._max_tokens)
        vectors: Tensor = output.pooler_output if self.pooler == "pooler" else output.last_hidden_state[:, 0]
        return vectors.float().cpu().numpy()

    def _run(self, texts: list[str], *, most: int) -> tuple[Any, Any]:
        import torch

        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=most, return_tensors="pt").to(
            self._device
        )
        with torch.inference_mode():
            return tokens, self._model(**tokens)


def _weights_hash(model: Any, *settings: object) -> str:
    """Twelve digits of the weights and of how they are used."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.cpu().contiguous().flatten().view(_bytes_type()).numpy().tobytes())
    return digest.hexdigest()[:12]


def _bytes_type() -> Any:
    import torch

    return torch.uint8
