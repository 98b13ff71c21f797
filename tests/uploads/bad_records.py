"""Bad WFDB records, sent as a zip or as files, and bad zips: rows 1 to 59 and 62 of RELIABILITY B5."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from hearts import as_bytes, header_lines
from test_bad_input import FLAGGED, PLAIN, REFUSED
from upload_cases import COUNTS, HELD, NONE, Upload, always, refused
from uploads import npy_bytes, poked, with_directory, zip_bytes

from ecgray.leads import LEADS
from ecgray.uploads.read import UploadSettings


def records() -> Iterator[Upload]:
    """Rows 1 to 59, each as a zip and as files; two of them are larger than an upload may be."""
    for name, (header, files, status, code) in REFUSED.items():
        sent = {"r.hea": header, **files}
        if sum(map(len, sent.values())) > 8 << 20:
            status, code = 413, "payload_too_large"
        yield Upload(name=f"{name}, zip", make=lambda sent=sent: zip_bytes(sent), code=code, status=status)
        yield Upload(name=f"{name}, files", make=always(sent), code=code, status=status)
    for name, (header, files, flag) in FLAGGED.items():
        yield Upload(name=f"{name}, zip", make=lambda sent={"r.hea": header, **files}: zip_bytes(sent), flag=flag)
    for name, (header, files) in PLAIN.items():
        yield Upload(name=f"{name}, zip", make=lambda sent={"r.hea": header, **files}: zip_bytes(sent))
    lenient = UploadSettings(strict=False)
    altered = HELD | {"r.dat": HELD["r.dat"][:-2] + b"\5\0"}
    yield Upload(name="43 flagged", make=lambda: zip_bytes(altered), settings=lenient, flag="checksum_mismatch")
    header, files, _, _ = REFUSED["49 V4 missing"]
    eleven = {"r.hea": header, **files}
    yield Upload(name="49 allowed", make=always(eleven), allow_missing_leads=True, flag="lead_missing:V4")


def _header(samples: int, format_: int = 16) -> bytes:
    return as_bytes([f"r 12 500 {samples}", *[f"r.dat {format_} 1000/mV 16 0 0 0 0 {lead}" for lead in LEADS]])


def files() -> list[Upload]:
    """What several files can be wrong by."""
    two = HELD | {"s.hea": HELD["r.hea"]}
    return [
        *refused(400, "header_missing", NONE, {"- no header": always({"r.dat": b"1", "s.dat": b"2"})}),
        *refused(400, "dat_missing", NONE, {"41 the header alone": always({"r.hea": HELD["r.hea"]})}),
        *refused(400, "multisegment_unsupported", NONE, {"- two headers": always(two)}),
        *refused(413, "archive_too_large", NONE, {"62 nine files": always({f"{n}.dat": b"0" for n in range(9)})}),
        *refused(
            413,
            "header_too_large",
            NONE,
            {"5 5,000 lines": lambda: HELD | {"r.hea": as_bytes(header_lines(COUNTS) * 400)}},
        ),
        *refused(
            413,
            "recording_too_large",
            NONE,
            {
                "19 FLAC that unpacks to 400 MB": always({"r.hea": _header(16_000_000, 516), "r.dat": b"fLaC"}),
                "19 8 MB at a byte a sample": lambda: {"r.hea": _header(600_000, 80), "r.dat": bytes(7_200_000)},
            },
        ),
        *refused(413, "payload_too_large", NONE, {"64 9 MB": lambda: {"r.dat": bytes(9 << 20)}}),
    ]


def _linked() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        link = zipfile.ZipInfo("r.dat")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr("r.hea", HELD["r.hea"])
        archive.writestr(link, b"/etc/passwd")
    return held.getvalue()


def _many(members: int) -> bytes:
    return zip_bytes({f"{number}.dat": b"" for number in range(members)})


def _end(content: bytes, *, place: int, field: str, value: int) -> bytes:
    """A zip whose last record has one number changed."""
    held = bytearray(content)
    struct.pack_into(field, held, len(held) - 22 + place, value)
    return bytes(held)


def _zip64() -> bytes:
    """A member whose size is told by Zip64's extra field, and is not the true one."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        member = zipfile.ZipInfo("r.hea")
        member.extra = struct.pack("<HHQ", 1, 8, 10)
        archive.writestr(member, HELD["r.hea"])
        archive.writestr("r.dat", HELD["r.dat"])
    return with_directory(held.getvalue(), 24, "<L", 0xFFFFFFFF)


def _shared() -> bytes:
    """Two entries of the directory that share one member's bytes, under its name and another."""
    return zip_bytes(HELD).replace(b"r.hea", b"r.dat")


def _bomb(size: int, name: str = "r.dat") -> bytes:
    return zip_bytes({"r.hea": HELD["r.hea"], name: bytes(size)}, method=zipfile.ZIP_DEFLATED)


def _wide() -> bytes:
    content = np.repeat(np.frombuffer(np.random.default_rng(7).bytes(1 << 18), "u1"), 68).tobytes()
    return zip_bytes({"r.hea": HELD["r.hea"], "r.dat": content}, method=zipfile.ZIP_DEFLATED)


def zips() -> list[Upload]:
    """Row 62."""
    good = zip_bytes(HELD)
    packed_ = zip_bytes(HELD, method=zipfile.ZIP_DEFLATED)
    unsafe: dict[str, Callable[[], Any]] = {
        f"62 a member {place!r}": lambda place=place: zip_bytes({"r.hea": HELD["r.hea"], place: HELD["r.dat"]})
        for place in ("../r.dat", "/etc/r.dat", "a/../../r.dat", "a\\r.dat", "C:r.dat", "C:/r.dat", "a//r.dat", "r\n")
    }
    unsafe |= {
        "62 NUL in a name": lambda: good.replace(b"r.dat", b"r\0dat"),
        "62 a link": _linked,
        "62 a zip in it": lambda: zip_bytes(HELD | {"more.zip": good}),
        "62 a zip in it, unnamed": lambda: zip_bytes({"r.hea": HELD["r.hea"], "r.dat": good}),
        "62 an archive's name in it": lambda: zip_bytes(HELD | {"r.tar": b"text"}),
        "62 a gzip in it": lambda: zip_bytes({"r.hea": HELD["r.hea"], "r.dat": b"\x1f\x8b\x08" + bytes(90)}),
        "62 two of one name": _shared,
        "62 encrypted": lambda: with_directory(good, 8, "<H", 1),
        "62 unknown method": lambda: with_directory(good, 10, "<H", 12),
        "62 several folders": lambda: zip_bytes({"a/r.hea": HELD["r.hea"], "b/r.dat": HELD["r.dat"]}),
        "62 size too small": lambda: with_directory(packed_, 24, "<L", 10),
        "62 size too large": lambda: with_directory(packed_, 24, "<L", 5000),
        "62 packed size beyond the zip": lambda: with_directory(good, 20, "<L", 1 << 30),
        "62 Zip64 lie": lambda: with_directory(good, 24, "<L", 0xFFFFFFFF),
        "62 Zip64 lie in an extra field": _zip64,
        "62 Zip64 offset": lambda: _end(good, place=16, field="<L", value=0xFFFFFFFF),
        "62 fewer counted than listed": lambda: _end(good, place=8, field="<L", value=0x10001),
        "62 of several disks": lambda: _end(good, place=4, field="<H", value=1),
        "62 prefixed": lambda: b"PK\x03\x04" + bytes(100) + good,
        "62 trailed": lambda: good + bytes(100),
        "62 cut": lambda: good[: len(good) // 2],
        "62 an offset elsewhere": lambda: with_directory(good, 42, "<L", 77),
        "62 altered": lambda: poked(packed_, packed_[400:404], b"\0\0\0\0"),
    }
    return [
        *refused(400, "archive_unsafe", NONE, unsafe),
        *refused(
            413,
            "archive_too_large",
            NONE,
            {
                "62 nine members": lambda: _many(9),
                "62 1,000 members": lambda: _many(1000),
                "62 65,000 members": lambda: _many(65_000),
            },
        ),
        *refused(413, "payload_too_large", NONE, {"62 100,000 members": lambda: _many(100_000)}),
        *refused(
            413,
            "inflated_too_large",
            NONE,
            {
                "62 ratio of 1,000": lambda: _bomb(1 << 20),
                "62 17 MB at a ratio of 8": _wide,
                "62 200 MB": lambda: _bomb(200 << 20),
                "61 npz of 240 MB": lambda: _bomb(240 << 20, "ecg.npy"),
            },
        ),
        *refused(400, "header_missing", NONE, {"- an empty zip": lambda: zip_bytes({})}),
        *refused(415, "format_unsupported", NONE, {"61 npz": lambda: zip_bytes({"ecg.npy": npy_bytes(COUNTS)})}),
        Upload(name="- a folder", make=lambda: zip_bytes({f"rec/{name}": held for name, held in HELD.items()})),
        Upload(
            name="- what a Mac adds",
            make=lambda: zip_bytes({"rec/": b"", "rec/.DS_Store": b"1", "__MACOSX/rec/._r.hea": b"2"} | _in("rec/")),
        ),
        Upload(name="- deflated", make=always(packed_)),
    ]


def _in(folder: str) -> dict[str, bytes]:
    return {f"{folder}{name}": content for name, content in HELD.items()}
