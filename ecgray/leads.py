"""The twelve leads: their order, their names, and what ties the six frontal ones together.

Leads are found by name, never by position: MIMIC-IV-ECG stores aVF before aVL, others write `AVR` or `MLII`-like names.
Inside ecgray every array has its leads in the order of `LEADS`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ecgray.errors import EcgInputError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order of the lead axis everywhere inside ecgray."""

FRONTAL = LEADS[:6]
"""The six frontal-plane leads: two independent (I, II), four derived."""

INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
"""The eight leads from which all twelve follow."""

# A hyphen may follow what can be no lead by itself, and nothing else: `-aVR` and `aVR-` are aVR upside down, and `I-II`
# is the difference of two leads.
_PREFIXES = re.compile(r"((ecg|lead|mdc_ecg_lead|mdc_ecg_elec_potl)([ _]+|-)?)*")
_CHEST_PREFIX = re.compile(r"(?<=^[vc])-(?=[1-6]$)")
_CANONICAL = {lead.lower(): lead for lead in LEADS} | {
    "1": "I",
    "2": "II",
    "3": "III",
    "di": "I",
    "dii": "II",
    "diii": "III",
    "d1": "I",
    "d2": "II",
    "d3": "III",
    "c1": "V1",
    "c2": "V2",
    "c3": "V3",
    "c4": "V4",
    "c5": "V5",
    "c6": "V6",
}


def lead_name(text: str) -> str | None:
    """The standard name of a lead, or None where it is none of the twelve.

    A lead with a minus is none of them: it is upside down, or the difference of two.

    >>> [lead_name(text) for text in ("avr", "Lead II", "DIII", "ECG V1", "V 2", "pleth", "-aVR")]
    ['aVR', 'II', 'III', 'V1', 'V2', None, None]
    """
    key = _PREFIXES.sub("", text.strip().lower(), count=1).lstrip("_").replace(" ", "")
    return _CANONICAL.get(_CHEST_PREFIX.sub("", key))


def find_leads(names: Sequence[str]) -> dict[str, int]:
    """Where each standard lead stands among `names`; signals that are no ECG lead are passed over.

    Raises `EcgInputError` leads_duplicate where a lead stands twice, leads_unknown where none of the twelve is named.

    >>> find_leads(["ii", "I", "pleth"])
    {'II': 0, 'I': 1}
    """
    found: dict[str, int] = {}
    for position, text in enumerate(names):
        lead = lead_name(text)
        if lead is None:
            continue
        if lead in found:
            raise EcgInputError("leads_duplicate", f"Lead {lead} is named twice; each lead may be named once.")
        found[lead] = position
    if not found:
        raise EcgInputError("leads_unknown", f"No signal is named as a lead; name them {', '.join(LEADS)}.")
    return found


def derive_frontal(
    lead_i: Float[np.ndarray, "*batch time"], lead_ii: Float[np.ndarray, "*batch time"]
) -> tuple[Float[np.ndarray, "*batch time"], ...]:
    """III, aVR, aVL and aVF from I and II (Einthoven and Goldberger; SE-Diff Eq. 19)."""
    return lead_ii - lead_i, -(lead_i + lead_ii) / 2, lead_i - lead_ii / 2, lead_ii - lead_i / 2


def frontal_residual(ecg: Float[np.ndarray, "*batch lead=12 time"]) -> Float[np.ndarray, "*batch identity=4 time"]:
    """How far III, aVR, aVL and aVF are from what I and II say they are, in the unit of `ecg`.

    Zero for twelve leads of one heart; about the lead's own size where two leads are swapped or one is mislabelled.

    >>> import numpy as np
    >>> float(np.abs(frontal_residual(np.zeros((12, 8)))).max())
    0.0
    """
    import numpy as np

    derived = derive_frontal(ecg[..., 0, :], ecg[..., 1, :])
    return ecg[..., 2:6, :] - np.stack(derived, axis=-2)
