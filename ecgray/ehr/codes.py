"""Codes of the ICD as plain identifiers: version and code, and the category that a code stands in."""

from __future__ import annotations

import re

_CODE = re.compile(r"[A-Z0-9]{2,8}")


def icd(code: str, version: str) -> str | None:
    """A code of a hospital's table as `icd<version>:<code>`, without a dot; None where it is none.

    >>> icd("i48.91 ", "10"), icd("4019", "9"), icd("", "9"), icd("I10", "11")
    ('icd10:I4891', 'icd9:4019', None, None)
    """
    plain, which = code.strip().upper().replace(".", ""), version.strip().removesuffix(".0")
    return f"icd{which}:{plain}" if which in {"9", "10"} and _CODE.fullmatch(plain) else None


def category(code: str) -> str:
    """The first three characters of a code; four where ICD-9 counts external causes (E849).

    >>> category("icd10:I4891"), category("icd9:4019"), category("icd9:E8490"), category("icd10:E119")
    ('icd10:I48', 'icd9:401', 'icd9:E849', 'icd10:E11')
    """
    version, _, plain = code.partition(":")
    return f"{version}:{plain[: 4 if version == 'icd9' and plain.startswith('E') else 3]}"
