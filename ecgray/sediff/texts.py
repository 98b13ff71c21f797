"""Texts as vectors: each distinct text once, in one array, however many words it has.

With `tokens="text"` a text is one vector; with `words` it has one for each word (or piece of a word). Vectors are kept
in float16, since 180,000 distinct reports of a whole archive would not fit else; a frozen encoder's are that coarse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Int64
from torch import Tensor

from ecgray.errors import ConfigError
from ecgray.text.encoders import TextEncoder, TokenEncoder

_CHUNK = 1024


@dataclass(frozen=True)
class TextVectors:
    """The vectors of some texts, one after the other; text number n has those from start[n] to start[n + 1]."""

    vectors: Float16[np.ndarray, "token width"]
    start: Int64[np.ndarray, "_"]

    def __len__(self) -> int:
        return len(self.start) - 1

    def batch(
        self, numbers: Int64[np.ndarray, "batch"]
    ) -> tuple[Float[Tensor, "batch token width"], Bool[Tensor, "batch token"]]:
        """The texts with these numbers, padded to the longest; -1 is no text."""
        there = numbers >= 0
        first = self.start[np.where(there, numbers, 0)]
        count = np.where(there, self.start[np.where(there, numbers, 0) + 1] - first, 0)
        place = np.arange(max(1, int(count.max(initial=0))))
        real = place < count[:, None]
        index = np.where(real, first[:, None] + place, 0)
        if not len(self.vectors):
            return torch.zeros(*index.shape, self.vectors.shape[1]), torch.from_numpy(real)
        return torch.from_numpy(self.vectors[index].astype(np.float32)), torch.from_numpy(real)

    def save(self, folder: Path) -> None:
        """Write both arrays."""
        np.save(folder / "text_vectors.npy", self.vectors)
        np.save(folder / "text_start.npy", self.start)

    @staticmethod
    def load(folder: Path) -> TextVectors:
        """Read both; the vectors are mapped, not loaded."""
        vectors = np.load(folder / "text_vectors.npy", mmap_mode="r", allow_pickle=False)
        return TextVectors(vectors, np.load(folder / "text_start.npy", allow_pickle=False))


def encode_texts(
    texts: Sequence[str], encoder: TextEncoder, *, tokens: Literal["text", "words"], most_tokens: int
) -> TextVectors:
    """The vectors of distinct texts; an empty text has none.

    Raises `ConfigError` where words are asked for and the encoder gives whole texts only.
    """
    if tokens == "words" and not isinstance(encoder, TokenEncoder):
        raise ConfigError(f"text encoder {encoder.name!r} gives no vectors of words; use tokens=text.")
    parts: list[np.ndarray] = [np.zeros((0, encoder.width), np.float16)]
    counts: list[int] = []
    for at in range(0, len(texts), _CHUNK):
        some = list(texts[at : at + _CHUNK])
        if tokens == "text":
            made = encoder.encode(some)
            rows = [made[n : n + 1] if text.strip() else made[:0] for n, text in enumerate(some)]
        else:
            assert isinstance(encoder, TokenEncoder)
            rows = encoder.encode_tokens(some, most=most_tokens)
        parts += [row.astype(np.float16) for row in rows]
        counts += [len(row) for row in rows]
    return TextVectors(np.concatenate(parts), np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64))
