"""Mapping 10,000 distinct entity names to the standard terms, beside a plain loop that takes the nearest term.

$ python benchmarks/mapping.py

The names are drawn: the terms' own wordings with words added, dropped and swapped, letters doubled, and two findings in
one. The encoder's time is measured apart. The yardstick compares each entity with each term's name, one at a time, and
takes the nearest at the threshold or above: no synonyms, no guards; it is timed on 500 entities and scaled up. Prints
one JSON line.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence

import numpy as np

from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.text.guards import passes, qualifiers
from ecgray.text.mapping import MIN_SIMILARITY, count_how, map_entities
from ecgray.text.terms import TERMS
from ecgray.text.wording import wording

ENTITIES, TIMED = 10_000, 500
ADDED = (
    "possible",
    "marked",
    "mild",
    "borderline",
    "minor",
    "diffuse",
    "new",
    "frequent",
    "noted",
    "left",
    "inferior",
    "leads",
)


class Timed:
    """An encoder that says how long it took."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.name, self.width, self.pooler = encoder.name, encoder.width, encoder.pooler
        self.fingerprint = encoder.fingerprint
        self.took_s, self.cpu_s = 0.0, 0.0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """One vector a text."""
        start, start_cpu = time.perf_counter(), time.process_time()
        vectors = self._encoder.encode(texts)
        self.took_s += time.perf_counter() - start
        self.cpu_s += time.process_time() - start_cpu
        return vectors


def main() -> None:
    """Map the drawn names both ways."""
    names = drawn_names(ENTITIES)
    encoder = Timed(load_text_encoder("lexical"))
    map_entities(names[:10], encoder)  # imports
    qualifiers.cache_clear()
    wording.cache_clear()
    encoder.took_s, encoder.cpu_s = 0.0, 0.0
    start, start_cpu = time.perf_counter(), time.process_time()
    mapped = map_entities(names, encoder)
    whole, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    encoding, encoding_cpu = encoder.took_s, encoder.cpu_s
    shown = random.Random(1).sample(names, TIMED)
    naive_s, naive = plain_loop(shown, encoder)
    wrong = sum(near is not None and not passes(name, near) for name, near in zip(shown, naive, strict=True))
    print(
        json.dumps(
            {
                "entities": len(names),
                "terms": len(TERMS),
                "without_encoding_s": round(whole - encoding, 2),
                "encoding_s": round(encoding, 2),
                "without_encoding_cpu_s": round(cpu - encoding_cpu, 2),
                "encoding_cpu_s": round(encoding_cpu, 2),
                "plain_loop_s": round(naive_s / TIMED * len(names), 1),
                "plain_loop_vetoed_percent": round(100 * wrong / TIMED, 1),
                **count_how(mapped),
            }
        )
    )


def drawn_names(number: int) -> list[str]:
    """Distinct names, the same at each call."""
    draw = random.Random(0)
    wordings = [text for term in TERMS.values() for text in (term.name, *term.synonyms)]
    names: dict[str, None] = {}
    while len(names) < number:
        names.setdefault(_perturbed(draw, draw.choice(wordings), wordings))
    return list(names)


def _perturbed(draw: random.Random, text: str, wordings: list[str]) -> str:
    words = text.split()
    for _ in range(draw.choice((1, 1, 2, 3))):
        way, place = draw.choice(("add", "add", "drop", "swap", "letter", "both")), draw.randrange(len(words))
        if way == "add":
            words.insert(place, draw.choice(ADDED))
        elif way == "drop" and len(words) > 2:
            del words[place]
        elif way == "swap":
            draw.shuffle(words)
        elif way == "letter":
            words[place] += words[place][-1]
        elif way == "both":
            words += ["and", *draw.choice(wordings).split()]
    return " ".join(words)


def plain_loop(names: list[str], encoder: Timed) -> tuple[float, list[str | None]]:
    """The nearest term of each name and the seconds, encoding apart."""
    terms = list(TERMS)
    vectors, known = encoder.encode(names), encoder.encode(terms)
    start = time.perf_counter()
    found: list[str | None] = []
    for vector in vectors:
        cosines = [float(vector @ other / (np.linalg.norm(vector) * np.linalg.norm(other) + 1e-9)) for other in known]
        best = int(np.argmax(cosines))
        found.append(terms[best] if cosines[best] >= MIN_SIMILARITY else None)
    return time.perf_counter() - start, found


if __name__ == "__main__":
    main()
