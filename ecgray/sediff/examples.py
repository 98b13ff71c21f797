"""What the diffusion learns from, as arrays on disk: latents, texts, metadata, classes; mapped by every worker.

A latent is 2 KB: those of 800,000 records fill 1.6 GB and are read in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from ecgray.sediff.condition import Condition
from ecgray.sediff.conditions import Conditions
from ecgray.sediff.diffusion import DiffusionBatch
from ecgray.sediff.diffusion_config import ConditionConfig
from ecgray.sediff.texts import TextVectors, encode_texts
from ecgray.text.encoders import TextEncoder

_ARRAYS = ("latents", "texts", "reports", "numbers", "cls", "heart_rate_bpm")


@dataclass(frozen=True)
class Examples:
    """One row a record. Texts are numbers into `vectors`, -1 where there is none; numbers are NaN where unknown."""

    latents: Float32[np.ndarray, "record latent step"]
    texts: Int64[np.ndarray, "record wording"]
    """The record's wordings of t, one drawn for each step: its report, its terms."""
    reports: Int64[np.ndarray, "record"]
    """The retrieved report r."""
    numbers: Float32[np.ndarray, "record number=3"]
    """Age, sex (M: 1), heart rate."""
    cls: Int64[np.ndarray, "record"]
    heart_rate_bpm: Float32[np.ndarray, "record"]
    vectors: TextVectors

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, rows: Int64[np.ndarray, "batch"], random: np.random.Generator) -> DiffusionBatch:
        """The records in these rows, each with one of its wordings."""
        return DiffusionBatch(
            latent=torch.from_numpy(np.ascontiguousarray(self.latents[rows])),
            condition=self.condition(rows, random),
            cls=torch.from_numpy(self.cls[rows]),
            heart_rate_bpm=torch.from_numpy(self.heart_rate_bpm[rows]),
        )

    def condition(self, rows: Int64[np.ndarray, "batch"], random: np.random.Generator | None = None) -> Condition:
        """What is known of these records; without `random` each has its first wording."""
        choices = self.texts[rows]
        there = choices >= 0
        draws = np.where(there, 1.0 if random is None else random.random(choices.shape), -1.0)
        text, text_known = self.vectors.batch(choices[np.arange(len(rows)), draws.argmax(axis=1)])
        report, report_known = self.vectors.batch(self.reports[rows])
        numbers = torch.from_numpy(self.numbers[rows])
        return Condition(text, text_known, report, report_known, torch.nan_to_num(numbers), ~numbers.isnan())

    def save(self, folder: Path) -> None:
        """Write the arrays."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        self.vectors.save(folder)

    @staticmethod
    def load(folder: Path) -> Examples:
        """Read the arrays; latents and vectors are mapped, not loaded."""
        found = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r" if name == "latents" else None, allow_pickle=False)
            for name in _ARRAYS
        }
        return Examples(**found, vectors=TextVectors.load(folder))


def make_examples(
    rows: Conditions,
    latents: Float32[np.ndarray, "record latent step"],
    encoder: TextEncoder,
    rules: ConditionConfig,
) -> Examples:
    """What is said of some records beside what each of them is, every distinct text encoded once."""
    distinct, (reports, terms, experience) = number_texts([rows.reports, rows.terms, rows.experience])
    return Examples(
        latents=latents,
        texts=np.stack([reports, terms], axis=1),
        reports=experience,
        numbers=rows.numbers,
        cls=rows.cls,
        heart_rate_bpm=rows.numbers[:, 2].copy(),
        vectors=encode_texts(distinct, encoder, tokens=rules.tokens, most_tokens=rules.most_tokens),
    )


def number_texts(columns: Sequence[Sequence[str]]) -> tuple[list[str], list[Int64[np.ndarray, "_"]]]:
    """The distinct texts of some columns, sorted, and each column as numbers into them; an empty text is -1.

    >>> number_texts([["b", "a", ""], ["a", "", ""]])
    (['a', 'b'], [array([ 1,  0, -1]), array([ 0, -1, -1])])
    """
    distinct = sorted({text for column in columns for text in column} - {""})
    place: Mapping[str, int] = {text: number for number, text in enumerate(distinct)}
    return distinct, [np.array([place.get(text, -1) for text in column], np.int64) for column in columns]
