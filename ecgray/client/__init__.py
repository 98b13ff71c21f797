"""The service from Python: standard library and numpy, no torch, no Ray.

    >>> from ecgray.client import Client  # doctest: +SKIP
    >>> client = Client("http://127.0.0.1:8000")  # doctest: +SKIP
    >>> found = client.classify_file("recording.hea", ["atrial fibrillation"])  # doctest: +SKIP
    >>> found.probability("atrial fibrillation"), found.quality.flags  # doctest: +SKIP
    (0.93, ('noise_high:V1',))
    >>> drawn = client.generate("sinus bradycardia", heart_rate=45, progress=print)  # doctest: +SKIP
    >>> drawn.save_wfdb("drawn")  # doctest: +SKIP

Arrays are (lead, time): int16 counts of 1/1000 mV, or floating millivolts, their rows named by `leads`; nothing is
taken by its position. Answers are frozen dataclasses, faults a `ServiceError` of one sentence. Research use only.
"""

from ecgray.client.answers import (
    Answer,
    Classified,
    Embedded,
    Explained,
    Generated,
    Input,
    Measured,
    ModelInfo,
    Quality,
    Read,
)
from ecgray.client.calls import Client
from ecgray.client.failures import Overloaded, ServiceError, Unreachable

__all__ = [
    "Answer",
    "Classified",
    "Client",
    "Embedded",
    "Explained",
    "Generated",
    "Input",
    "Measured",
    "ModelInfo",
    "Overloaded",
    "Quality",
    "Read",
    "ServiceError",
    "Unreachable",
]
