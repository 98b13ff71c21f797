"""A prescription's words to the drug's name: case, strength, form and salt say how it is given, not what it is.

The closed lists are plain files beside this module: `forms.txt`, `salts.txt` and `carriers.txt`.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\*+nf\*+|[*_]")
_STRENGTH = re.compile(
    r"(?<![\w-])[\d][\d.,:/ -]*(?:%|(?:mg|mcg|gm?|ml|meq|mmol|million|units?|unt|iu|hrs?|hours?|inch)\b)?"
    r"(?:\s*/\s*[\d.]*\s*(?:ml|hrs?|hours?|mg|mcg|actuation|spray)\b)?"
)
"""81 mg, 0.083%, 20 mEq / 1000 mL, 1:1000, 50 mcg, 0.2 mg/24 hr; not the number of d3 or b12."""
_MINERALS = ("aluminum", "calcium", "ferric", "ferrous", "lithium", "magnesium", "potassium", "sodium", "zinc")
"""After these a salt's name stays."""
_BASE = re.compile(r"^(potassium) chl\b.*")


@functools.cache
def listed(name: str) -> frozenset[str]:
    """The entries of a closed list: `forms`, `salts` or `carriers`."""
    lines = (Path(__file__).parent / f"{name}.txt").read_text("ascii").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@functools.lru_cache(maxsize=1 << 16)
def drug_name(prescribed: str) -> str | None:
    """What a prescription's `drug` names, lower case; None where it is a carrier, a flush or nothing.

    >>> drug_name("Metoprolol Succinate XL"), drug_name("MetFORMIN (Glucophage)"), drug_name("Aspirin 81 mg ")
    ('metoprolol', 'metformin', 'aspirin')
    >>> drug_name("Potassium Chloride (Powder)"), drug_name("Sodium Chloride 0.9%  Flush"), drug_name("5% Dextrose")
    ('potassium chloride', None, None)
    """
    written = _spaced(prescribed.lower())
    plain = _spaced(_BRACKETS.sub(" ", written).partition(" - ")[0])
    plain = _BASE.sub(r"\1 chloride", plain)
    name = _without_salt(_without_forms(_spaced(_STRENGTH.sub(" ", plain))))
    if not any(letter.isalpha() for letter in name) or {name, plain, written} & listed("carriers"):
        return None
    return name


def _spaced(text: str) -> str:
    return " ".join(text.split()).strip(" .,;:/-")


def _without_forms(name: str) -> str:
    first, *rest = name.split(" ")
    return _spaced(" ".join([first, *(word for word in rest if word.strip(".,-") not in listed("forms"))]))


def _without_salt(name: str) -> str:
    words = name.split(" ")
    while len(words) > 1 and words[-1] in listed("salts") and words[0] not in _MINERALS:
        words.pop()
    return " ".join(words)
