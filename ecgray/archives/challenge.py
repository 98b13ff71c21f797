"""CPSC2018, Chapman-Shaoxing-Ningbo and Georgia as the PhysioNet Challenges give them: .mat and .hea, Dx in comments.

A record's name tells the archive: A0001 is CPSC2018's, JS00001 Chapman-Shaoxing-Ningbo's, E00001 Georgia's. These
archives name no patients: each recording counts as a patient of its own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from ecgray.archives.comments import diagnosis_codes, field, find_headers, read_comments, sex, years
from ecgray.archives.manifest import Listing

NAMES = {
    "cpsc2018": re.compile(r"A[0-9]{4}"),
    "csn": re.compile(r"JS[0-9]{5}"),
    "georgia": re.compile(r"E[0-9]{5}"),
}
"""How each archive names its recordings."""

_TEXT_SYSTEMS = {"cpsc2018": "cpsc"}


def read(root: Path, layout: str) -> Listing:
    """Every header below the folder, known by its name."""
    listing = read_headers(root, _TEXT_SYSTEMS.get(layout, layout))
    own = [path.rpartition("/")[2] for path in listing.columns["path"].to_pylist()]
    return replace(listing, columns=dict(listing.columns) | {"record_id": pa.array(own, pa.string())})


def read_headers(root: Path, text_system: str) -> Listing:
    """Every header below the folder, known by its path, with age, sex and Dx where its comments give them."""
    paths, passed_over = find_headers(root)
    ages, sexes, codes = [], [], []
    for comments in read_comments(root, paths):
        ages.append(years(field(comments, "age")))
        sexes.append(sex(field(comments, "sex")))
        codes.append(diagnosis_codes(field(comments, "dx"), text_system))
    names = pa.array(paths, pa.string())
    return Listing(
        columns={
            "record_id": names,
            "path": names,
            "age": pa.array(ages, pa.float32()),
            "sex": pa.array(sexes, pa.string()),
            "codes": pa.array(codes, pa.list_(pa.string())),
        },
        notes={"headers_not_named_hea": passed_over},
    )
