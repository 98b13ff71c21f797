"""A WFDB record whose files were sent: the header is found, its signals are counted, then it is read as from disk."""

from __future__ import annotations

from collections.abc import Mapping

from ecgray.errors import EcgInputError
from ecgray.uploads.settings import check_samples
from ecgray.waveform.header import Header, parse_header
from ecgray.waveform.record import Recording, decode_recording

_COMPRESSED = (508, 516, 524)


def read_record(files: Mapping[str, bytes], *, strict: bool) -> Recording:
    """Read a record from its one header (.hea) and the signal files beside it, by name. Raises `EcgInputError`."""
    headers = [content for name, content in files.items() if name.lower().endswith(".hea")]
    if not headers:
        raise EcgInputError(
            "header_missing", "There is no header (.hea) among the files; send it with its signal files.", status=400
        )
    if len(headers) > 1:
        raise EcgInputError(
            "multisegment_unsupported", "There are several headers (.hea); send one recording at a time.", status=400
        )
    header = parse_header(headers[0])
    _check_samples(header, files)
    return decode_recording(header, files, strict=strict)


def _check_samples(header: Header, files: Mapping[str, bytes]) -> None:
    """Refuse a record that would take much memory; one that announces more than it holds is refused by the decoder.

    A file holds at most a sample a byte, but where it is compressed, and then the header's word is all there is.
    """
    total = 0
    for file in {signal.file for signal in header.signals}:
        codings = [signal.coding for signal in header.signals if signal.file == file]
        bytes_ = 2 if all(coding.format == 16 for coding in codings) else 1
        held = len(files.get(file, b"")) // bytes_
        announced = held if header.frames is None else header.frames * sum(each.frame_samples for each in codings)
        compressed = any(coding.format in _COMPRESSED for coding in codings)
        total += announced if compressed else min(announced, held)
    check_samples(total)
