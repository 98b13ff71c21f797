"""Any folder of WFDB recordings: each header is one, known by its path below the folder.

Age, sex and Dx are taken from comments such as `# Age: 81` where they stand; Dx in words becomes `dx:<word>`. Nothing
tells which recordings are of one patient, so each counts as a patient of its own.
"""

from __future__ import annotations

from pathlib import Path

from ecgray.archives.challenge import read_headers
from ecgray.archives.manifest import Listing


def read(root: Path) -> Listing:
    """Every header below the folder."""
    return read_headers(root, "dx")
