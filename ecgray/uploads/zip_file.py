"""A zip to its few small files, in memory: its directory is judged before anything is inflated, and not trusted then.

Refused are names that lead elsewhere, links, archives in the archive, secrets, methods other than stored and deflated,
Zip64 (which nothing so small needs), a directory that does not end where the file ends, and what inflates to too much.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib

from ecgray.errors import EcgInputError
from ecgray.uploads.settings import MAX_FILES

MAX_INFLATED = 16 << 20
"""Bytes of all members together."""
MAX_RATIO = 100
"""Inflated bytes for one of the zip."""

_ENTRIES = 4 * MAX_FILES  # folders and what a Mac adds are left out, so that a few more may be listed
_DIRECTORY_BYTES = 64 << 10
_END = struct.Struct("<4s4H2LH")
_ZIP64 = 0xFFFFFFFF  # stands for a number told elsewhere
_ENCRYPTED = 0x2041  # encrypted, strongly encrypted, a masked directory
_UNSAFE = re.compile(r"(^|/)\.\.(/|$)|^/|[\\:\x00-\x1f\x7f]|//|^$")
_JUNK = re.compile(r"(^|/)__MACOSX/|(^|/)(\.DS_Store|\._[^/]*)$|/$")
_ARCHIVE_NAME = re.compile(r"\.(zip|npz|jar|docx|xlsx|t?gz|t?bz2?|t?xz|7z|rar|tar|zst|lz4?|cab)$", re.IGNORECASE)
_ARCHIVE = re.compile(
    rb"PK\x03\x04|PK\x05\x06|\x1f\x8b\x08|BZh[1-9]1AY|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!|\x28\xb5\x2f\xfd"
)
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError, ArithmeticError, OSError)


def unpack(content: bytes) -> dict[str, bytes]:
    """The files of a zip by their names without the one folder that may hold them. Raises `EcgInputError`.

    Codes: archive_unsafe, archive_too_large (too many members), inflated_too_large, format_unsupported (npz).
    """
    listed = _check_end(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) != listed:
                raise _unsafe("lists other members than it counts")
            kept = _check_members(members, len(content))
            return {member.orig_filename.rpartition("/")[2]: _inflate(archive, member) for member in kept}
    except (*_FAULTS, struct.error):
        raise _unsafe("is damaged, or its directory is not that of its content") from None


def _check_end(content: bytes) -> int:
    """The number of members by the record at the zip's end; no member is looked at."""
    place = content.rfind(b"PK\x05\x06", max(0, len(content) - _END.size - 0xFFFF))
    if place < 0 or place + _END.size > len(content):
        raise _unsafe("has no end; was it copied completely?")
    _, disk, first_disk, here, listed, size, offset, comment = _END.unpack_from(content, place)
    if listed > _ENTRIES:  # 65,535 stands for more
        raise _too_many(listed)
    if _ZIP64 in (size, offset) or content[max(0, place - 20) : place].startswith(b"PK\x06\x07"):
        raise _unsafe("uses Zip64, which nothing of this size needs")
    if disk or first_disk or here != listed or offset + size != place or place + _END.size + comment != len(content):
        raise _unsafe("has something before, behind or between what its directory lists")
    if size > _DIRECTORY_BYTES:
        raise _too_many(listed)
    return listed


def _check_members(members: list[zipfile.ZipInfo], size: int) -> list[zipfile.ZipInfo]:
    """The members to be read. All are judged by what the directory says of them."""
    names = [member.orig_filename for member in members]  # `filename` may be cut or replaced by zipfile
    if any(_UNSAFE.search(name) for name in names):
        raise _unsafe("names a member by more than a plain path; use plain file names")
    if len(set(names)) != len(names):
        raise _unsafe("has two members of one name")
    if any(stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR) for member in members):
        raise _unsafe("holds a link or a device")
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise _unsafe("is encrypted")
    kept = [member for member in members if not _JUNK.search(member.orig_filename)]
    if len(kept) > MAX_FILES:
        raise _too_many(len(kept))
    _check_sizes(kept, size)
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in kept):
        raise _unsafe("is compressed by a method other than deflate")
    if kept and all(member.orig_filename.endswith(".npy") for member in kept):
        raise EcgInputError(
            "format_unsupported", "The upload is npz, which is not read here; send the one array as npy.", status=415
        )
    if any(_ARCHIVE_NAME.search(member.orig_filename) for member in kept):
        raise _unsafe("holds another archive")
    if len({member.orig_filename.rpartition("/")[0] for member in kept}) > 1:
        raise _unsafe("holds files of several folders; pack those of one recording")
    return kept


def _check_sizes(kept: list[zipfile.ZipInfo], size: int) -> None:
    if any(member.compress_size > size or member.file_size >= _ZIP64 for member in kept):
        raise _unsafe("lists a member that is larger than the zip itself, or uses Zip64")
    inflated = sum(member.file_size for member in kept)
    if inflated > MAX_INFLATED or any(each.file_size > MAX_RATIO * max(each.compress_size, 1) for each in kept):
        raise EcgInputError(
            "inflated_too_large",
            f"The zip inflates to {inflated} bytes; at most {MAX_INFLATED} are, and {MAX_RATIO} times what is packed.",
            status=413,
        )


def _inflate(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, no more than the directory says, with their check sum compared."""
    with archive.open(member) as file:
        content = file.read(member.file_size + 1)
    if len(content) != member.file_size:
        raise _unsafe("holds a member that is not as long as its directory says")
    if _ARCHIVE.match(content) or content[257:262] == b"ustar":
        raise _unsafe("holds another archive")
    return content


def _unsafe(what: str) -> EcgInputError:
    return EcgInputError("archive_unsafe", f"The zip {what}; pack one recording's files plainly.", status=400)


def _too_many(members: int) -> EcgInputError:
    return EcgInputError(
        "archive_too_large",
        f"The zip has {members} members or more; a recording has at most {MAX_FILES} files.",
        status=413,
    )
