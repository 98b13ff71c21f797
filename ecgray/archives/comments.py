"""What the comment lines of WFDB headers say of the patient: `#Age: 74`, `# Sex: Female`, `#<age>: 51`, `#Dx: RBBB`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ecgray.errors import EcgInputError
from ecgray.waveform.header import MAX_HEADER_BYTES, parse_header

OLDEST = 89.0
"""Years; a higher age is not kept: archives hide it (PTB-XL writes 300, MIMIC-IV 91) because so few people reach it."""

_OPEN_FILES = 32
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}


def header_paths(root: Path) -> list[str]:
    """Every header below `root` as a relative path without its ending, sorted; hidden folders are passed over."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        below = Path(folder).relative_to(root)
        found += [(below / name[:-4]).as_posix() for name in names if name.endswith(".hea") and name != ".hea"]
    return sorted(_text(path) for path in found)


def _text(path: str) -> str:
    """A path that is no UTF-8 as text that no file bears, so that it ends in quarantine and stops nothing."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_comments(root: Path, paths: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The comment lines of each header; none where it cannot be read (the recording goes to quarantine later)."""
    with ThreadPoolExecutor(_OPEN_FILES) as readers:
        yield from readers.map(lambda path: _comments(root / f"{path}.hea"), paths)


def _comments(path: Path) -> tuple[str, ...]:
    try:
        with path.open("rb") as file:
            return parse_header(file.read(MAX_HEADER_BYTES + 1)).comments
    except (OSError, EcgInputError):
        return ()


def field(comments: Iterable[str], name: str) -> str:
    """The value of the first comment `name: value`, in any case, with or without angle brackets; "" where none is.

    >>> field(["<age>: 51", "Dx: RBBB"], "age"), field(["Sex: Male"], "sex"), field([], "dx")
    ('51', 'Male', '')
    """
    for comment in comments:
        key, colon, value = comment.partition(":")
        if colon and key.strip(" <>").lower() == name:
            return value.strip()
    return ""


def years(text: str) -> float | None:
    """An age in years; None for `NaN`, `Unknown`, -1, and above 89.

    >>> [years(text) for text in ("74", "0", "-1", "NaN", "300.0", "Unknown", ">89")]
    [74.0, 0.0, None, None, None, None, None]
    """
    try:
        age = float(text)
    except ValueError:
        return None
    return age if 0 <= age <= OLDEST else None


def sex(text: str) -> str | None:
    """F or M; None for anything else.

    >>> [sex(text) for text in ("Female", "M", " male", "Unknown", "")]
    ['F', 'M', 'M', None, None]
    """
    return _SEXES.get(text.strip().lower())


def diagnosis_codes(text: str, text_system: str) -> list[str]:
    """The codes of a `Dx` comment: SNOMED where they are numbers, else `text_system` and the text as written.

    >>> diagnosis_codes("426783006, 55930002,426783006", "cpsc"), diagnosis_codes("AF,RBBB", "cpsc")
    (['snomed:426783006', 'snomed:55930002'], ['cpsc:AF', 'cpsc:RBBB'])
    >>> diagnosis_codes("Unknown", "cpsc")
    []
    """
    words = (" ".join(word.split()) for word in text.split(","))
    known = (word for word in words if word and word.lower() not in {"unknown", "nan", "none", "n/a"})
    return list(dict.fromkeys(f"snomed:{word}" if word.isdigit() else f"{text_system}:{word}" for word in known))
