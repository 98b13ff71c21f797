"""What the comment lines of WFDB headers say of the patient: `#Age: 74`, `# Sex: Female`, `#<age>: 51`, `#Dx: RBBB`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ecgray.errors import ArchiveError, EcgInputError
from ecgray.waveform.header import MAX_HEADER_BYTES, parse_header
from ecgray.waveform.record import read_file

OLDEST = 89.0
"""Years; a higher age is not kept: archives hide it (PTB-XL writes 300, MIMIC-IV 91) because so few people reach it."""

_OPEN_FILES = 32
_WINDOW = 1024
"""Headers that wait to be read at a time: an archive has a million, and each that waits takes 2 kB."""
_PATIENCE_S = 10
"""Reading that takes longer shows a bar."""
_SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}


class Headers(NamedTuple):
    """The headers of a tree."""

    paths: list[str]
    """Relative to the tree's root, without their ending, sorted."""
    passed_over: int
    """Files that end in `.HEA` or the like: WFDB's ending is `.hea`, and no record finds another."""


def find_headers(root: Path) -> Headers:
    """Every header below `root`; hidden folders are passed over.

    Raises `ArchiveError` where a folder cannot be read: its recordings would be lost without a word.
    """
    found, passed_over = [], 0
    for folder, names in _folders(root):
        below = Path(folder).relative_to(root)
        headers = [name for name in names if name.lower().endswith(".hea") and len(name) > len(".hea")]
        named = [(below / name[:-4]).as_posix() for name in headers if name.endswith(".hea")]
        found += named
        passed_over += len(headers) - len(named)
    return Headers(sorted(_text(path) for path in found), passed_over)


def _folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder with the names of its files, each once, however many links lead to it.

    A link is followed when all that lies in the tree itself has been seen, so that a folder has its own path as a rule.
    """

    def fail(error: OSError) -> None:
        raise ArchiveError(
            f"A folder below {root} cannot be read ({error.strerror}), and its recordings would be missed; "
            "make every folder readable, or give another one."
        ) from error

    seen = set[str]()
    starts = deque([os.fspath(root)])
    while starts:
        start = starts.popleft()
        real_start = os.path.realpath(start)
        for folder, subfolders, names in os.walk(start, onerror=fail):
            real = real_start + folder.removeprefix(start)
            if real in seen:
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            starts += [os.path.join(folder, name) for name in subfolders if Path(folder, name).is_symlink()]
            yield folder, names


def _text(path: str) -> str:
    """A path that is no UTF-8 as text that no file bears, so that it ends in quarantine and stops nothing."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_comments(root: Path, paths: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The comment lines of each header; none where it cannot be read (the recording goes to quarantine later).

    Raises `ArchiveError` where the machine fails or the archive goes away: what a header says of the patient may not be
    lost to that.
    """
    missing = False
    bar = tqdm(total=len(paths), unit="header", desc="headers", delay=_PATIENCE_S)
    with bar, ThreadPoolExecutor(_OPEN_FILES) as readers:
        for start in range(0, len(paths), _WINDOW):
            window = [os.path.join(root, f"{path}.hea") for path in paths[start : start + _WINDOW]]
            for comments in readers.map(_comments, window):
                bar.update()
                missing |= comments is None
                yield comments or ()
    if missing and not (root.is_dir() and any(root.iterdir())):
        raise ArchiveError(f"{root} is gone or empty since it was listed; mount it and run the same command again.")


def _comments(path: str) -> tuple[str, ...] | None:
    """None where there is no such header."""
    try:
        content = read_file(path, MAX_HEADER_BYTES)
        return parse_header(content).comments if content is not None else None
    except EcgInputError:
        return ()
    except OSError as error:
        raise ArchiveError(
            f"A header of the archive could not be read ({error.strerror}), which says nothing of the recording; "
            "see to that and run the same command again."
        ) from error


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
