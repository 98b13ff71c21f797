"""An upload to a recording: what it is, is told by its first bytes and never by a name or a type that was sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from ecgray.errors import EcgInputError
from ecgray.leads import find_leads
from ecgray.uploads.csv_file import read_csv
from ecgray.uploads.edf_file import read_edf
from ecgray.uploads.npy_file import read_npy
from ecgray.uploads.record_files import read_record
from ecgray.uploads.settings import MAX_FILES, UploadSettings, check_size
from ecgray.uploads.zip_file import unpack
from ecgray.waveform.record import Recording

_READ = "a zip of a WFDB record, npy, csv and edf are read"
_FOREIGN = {
    "DICOM": rb"(?s:.{128})DICM",
    "XML": rb"(\xef\xbb\xbf)?\s*<",
    "HDF5": rb"\x89HDF\r\n\x1a\n",
    "MATLAB's format": rb"MATLAB ",
    "BDF": rb"\xffBIOSEMI",
    "gzip": rb"\x1f\x8b",
    "JSON": rb"(\xef\xbb\xbf)?\s*\{",
    "PDF": rb"%PDF",
    "an image": rb"\x89PNG|\xff\xd8\xff|GIF8",
}
"""What is often sent and not read here, so that the refusal can name it."""
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def read_upload(content: bytes, settings: UploadSettings) -> Recording:
    """Read one file: a zip of a WFDB record, an array (npy), a table (csv) or EDF. Raises `EcgInputError`."""
    check_size(len(content))
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _as_stated(read_record(unpack(content), strict=settings.strict), settings)
    if content.startswith(b"\x93NUMPY"):
        return read_npy(content, fs=settings.fs, unit=settings.unit, leads=settings.leads)
    if content.startswith(b"0       "):
        return _as_stated(read_edf(content), settings)
    for kind, start in _FOREIGN.items():
        if re.match(start, content):
            raise _unsupported(f"{kind}, which is not read here")
    if not content or (_CONTROL.search(content[:4096]) and not content.startswith(_WIDE)):
        raise _unsupported("nothing that is known here")
    found = read_csv(content, fs=settings.fs, unit=settings.unit)
    return _as_stated(found, dataclasses.replace(settings, fs=None))


def read_files(files: Mapping[str, bytes], settings: UploadSettings) -> Recording:
    """Read a WFDB record sent as several files, by the names that its header gives them; or one file of any kind.

    A name is compared with those in the header and looked at for its ending; nothing is opened by it.
    Raises `EcgInputError`.
    """
    if not files:
        raise EcgInputError("header_missing", "No file was sent; send a header (.hea) and its signals.", status=400)
    if len(files) > MAX_FILES:
        raise EcgInputError(
            "archive_too_large", f"{len(files)} files were sent; a recording has at most {MAX_FILES}.", status=413
        )
    check_size(sum(map(len, files.values())))
    (name, content), *others = files.items()
    if not others and not name.lower().endswith(".hea"):
        return read_upload(content, settings)
    return read_record(files, strict=settings.strict)


def _as_stated(recording: Recording, settings: UploadSettings) -> Recording:
    """Raise where what is stated of a recording that says it itself is something else."""
    if settings.fs is not None and abs(settings.fs / recording.fs - 1) > 1e-6:
        raise EcgInputError("param_invalid", "The recording says another sampling rate than is stated; leave fs out.")
    if settings.leads is not None and find_leads(settings.leads) != find_leads(recording.names):
        raise EcgInputError("param_invalid", "The recording names other leads than are stated; leave leads out.")
    return recording


def _unsupported(found: str) -> EcgInputError:
    return EcgInputError("format_unsupported", f"The upload is {found}; {_READ}.", status=415)
