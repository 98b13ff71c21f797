"""Statements outside the vocabulary: other subjects, other languages, words that do not exist, and near misses.

What is outside is answered with `unknown`, by three rules:

- a statement without a wording of a term is unknown, also where it is made of the vocabulary's own words;
- a wording that a strange word stands right before, or within, is unknown: it may mean something else;
- a strange word in another clause leaves the finding as it is, and the statement partly unknown.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence

from ecgray.ner.findings import Finding, draw_finding, glue
from ecgray.ner.grammar import Statement, say
from ecgray.ner.phrases import holds_wording
from ecgray.ner.words import frames, paraphrases, rewrites, subjects, wordings
from ecgray.text.entities import Reading


def _words(text: str) -> list[str]:
    return text.split()


_EMPTY = frozenset(
    _words(
        "a an and are as at be by for from has in is it its no not of on or than that the there this to was were with "
        "wall lead leads"
    )
)
_GLUE = _words(
    "the of in is with and no left right acute normal mild for on at by new old possible small large high low"
)
_ONSETS = _words(
    "b br c ch cl cr d dr f fl fr g gl gr h j k kl l m n p ph pl pr qu r s sc sh sk sl sm sp st str t th tr v w z"
)
_CORES = _words("a e i o u ai ea ee ie oa oo ou y io ae")
_ENDS = ["", "", *_words("n r s t l m nd st rt x ck sis tic oma itis al ung tion")]


def draw_unknown(rng: random.Random) -> Statement:
    """A statement that the vocabulary does not cover, in whole or in a part."""
    draw = rng.choices(_KINDS, _WEIGHTS)[0]
    return draw(rng)


def strange_word(rng: random.Random) -> str:
    """A word of another world, or one that does not exist."""
    if rng.random() < 0.45:
        word = rng.choice(rng.choice(subjects()))
        if word not in known_words():
            return word if rng.random() < 0.8 else _inflected(word, rng)
    return _made_up(rng)


def _made_up(rng: random.Random) -> str:
    number = rng.choice([1, 2, 2, 3, 3, 4])
    word = "".join(rng.choice(_ONSETS) + rng.choice(_CORES) for _ in range(number)) + rng.choice(_ENDS)
    return word if word not in known_words() and len(word) > 2 else f"{word}vz"


def _inflected(word: str, rng: random.Random) -> str:
    """A word that resembles one of a list but stands in none."""
    place = rng.randrange(len(word) + 1)
    return word[:place] + rng.choice("aeioulnrst") + word[place:]


@functools.cache
def known_words() -> frozenset[str]:
    """Every word that a wording, a rewrite or a frame holds."""
    texts = [text for each in (*wordings().values(), *paraphrases().values()) for text in each]
    texts += [text for each in rewrites() for text in each] + [text for each in frames().values() for text in each]
    return frozenset(
        word for text in texts for word in text.replace(",", " ").replace("-", " ").replace("/", " ").split()
    )


@functools.cache
def content_words() -> tuple[str, ...]:
    """The words that wordings are made of, but for the empty ones."""
    texts = [text for each in wordings().values() for text in each]
    return tuple(sorted({word for text in texts for word in text.split()} - _EMPTY))


def _outside(text: str) -> Statement:
    return Statement(text, Reading((), unknown=True))


def _other_subject(rng: random.Random) -> Statement:
    """A sentence on one subject, with everyday words and some that ECG statements use too."""
    words = list(rng.choices(rng.choice(subjects()), k=rng.choice([1, 2, 2, 3, 3, 4, 5, 6])))
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        words.insert(rng.randrange(len(words) + 1), rng.choice(_GLUE))
    if rng.random() < 0.2:
        words.insert(rng.randrange(len(words) + 1), rng.choice(content_words()))
    if all(word in known_words() for word in words) or holds_wording(words):
        words = [strange_word(rng), *words]
        if holds_wording(words[1:]):
            return _nonsense(rng)
    return _outside(_framed(" ".join(words), rng))


def _nonsense(rng: random.Random) -> Statement:
    words = [strange_word(rng) for _ in range(rng.choice([1, 1, 2, 2, 3, 4, 6]))]
    if rng.random() < 0.4:
        words.insert(rng.randrange(len(words) + 1), rng.choice(_GLUE))
    return _outside(_framed(" ".join(words), rng))


def _framed(text: str, rng: random.Random) -> str:
    """Hedged, negated or stated, as findings are: the frame makes nothing known."""
    if rng.random() < 0.7:
        return text
    kind = rng.choice(["hedge_before", "negation_before", "sure_before", "hedge_after", "sure_after"])
    frame = rng.choice(frames()[kind])
    return f"{frame} {text}" if kind.endswith("before") else glue(text, frame)


def _replaced(rng: random.Random) -> Statement:
    """A wording with a content word replaced by a strange one."""
    for _ in range(50):
        words = draw_finding(rng).text.split()
        places = [place for place, word in enumerate(words) if word.strip(",()") not in _EMPTY]
        for place in rng.sample(places, min(len(places), rng.choice([1, 1, 2]))):
            words[place] = strange_word(rng)
        if not holds_wording(words):
            return _outside(_framed(" ".join(words), rng))
    return _nonsense(rng)


def _before(rng: random.Random) -> Statement:
    """A strange word right before a finding."""
    return _outside(f"{strange_word(rng)} {draw_finding(rng).text}")


def _salad(rng: random.Random) -> Statement:
    """The vocabulary's own words, put together to nothing that it holds."""
    for _ in range(50):
        if rng.random() < 0.5:
            words = list(rng.choices(content_words(), k=rng.choice([1, 2, 2, 3, 3, 4, 5])))
        else:
            words = draw_finding(rng).text.split()
            words[rng.randrange(len(words))] = rng.choice(content_words())
        if not holds_wording(words):
            return _outside(" ".join(words))
    return _nonsense(rng)


def _partly(rng: random.Random) -> Statement:
    """A finding, and a clause that is strange."""
    found = draw_finding(rng)
    strange = _clause(rng)
    if rng.random() < 0.6:
        joint = rng.choice([", ", " with ", " and ", "; ", ", with ", " in ", " by ", " due to ", " - ", " "])
        return _partial(f"{found.text}{joint}{strange}", [found])
    joint = rng.choice([", ", " and ", "; ", " - ", ": "])
    if joint == ", " or rng.random() < 0.5:
        other = draw_finding(rng)
        middle = f"{found.text}, {strange}, {other.text}"
        return _partial(middle, [found, other])
    return _partial(f"{strange}{joint}{found.text}", [found])


def _clause(rng: random.Random) -> str:
    words = [strange_word(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    if rng.random() < 0.3:
        words.insert(0, rng.choice(["no", "possible", "some", "left", "right", "mild", "the", "new"]))
    return " ".join(words)


def _partial(text: str, found: Sequence[Finding]) -> Statement:
    said = say(text, *((each, None) for each in found))
    return Statement(text, Reading(said.reading.entities, unknown=True))


_KINDS = (_other_subject, _nonsense, _replaced, _before, _salad, _partly)
_WEIGHTS = (22, 12, 16, 6, 26, 18)
