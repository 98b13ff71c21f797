"""docs/data.md says what the code does: every column, every flag, every code with its status."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hearts import header_lines
from test_bad_input import DAT, ELEVEN, ELEVEN_ROWS, FLAGGED, GOOD, HELD, LINES, as_bytes, of

import ecgray
from ecgray import tables
from ecgray.leads import LEADS
from ecgray.waveform.record import parse_recording
from ecgray.waveform.standard import standardise

SOURCE = Path(ecgray.__file__).parent
PAGE = (SOURCE.parent / "docs" / "data.md").read_text()


def rows_of(title: str) -> list[list[str]]:
    """The rows of the first table below a title, cell by cell."""
    section = re.split(r"\n#+ ", PAGE.partition(f"# {title}\n")[2])[0]
    lines = [line for line in section.split("\n\n") if line.startswith(("| ", "- "))]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]


@pytest.mark.parametrize(
    "name",
    [
        *("records", "manifest", "quarantine", "labels", "answers", "entities", "statements", "cache", "intervals"),
        *("latents", "admissions", "experience", "ehr_quarantine", "generated"),
    ],
)
def test_every_column_is_described_as_in_its_schema(name: str):
    schema: pa.Schema = getattr(tables, name.upper())
    described = {row[0]: row[2:] for row in rows_of(name)}
    if name == "manifest":
        described |= {row[0]: row[2:] for row in rows_of("records")}
    for field in schema:
        meaning, unit = (field.metadata.get(key, b"").decode() for key in (b"meaning", b"unit"))
        assert [each.replace("\\", "").strip() for each in described[field.name]] == [meaning, unit]


def raised() -> Iterator[tuple[str, int | None]]:
    """Every code in the source with its status; None where a table of ingest's, which answers nobody, names it."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "EcgInputError":
                status = next((each.value for each in node.keywords if each.arg == "status"), ast.Constant(422))
                if isinstance(node.args[0], ast.Constant) and isinstance(status, ast.Constant):
                    yield node.args[0].value, status.value
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and "_REFUSALS" in ast.dump(node):
                keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
                yield from ((key, None) for key in keys if isinstance(key, str))


def test_every_code_is_described_with_its_status():
    read, sent = ({row[0]: int(row[1]) for row in rows_of(title)} for title in ("Refusals", "Refusals of uploads"))
    described = read | sent
    found = set(raised())
    assert set(described) == {code for code, _ in found}
    assert set(described.items()) >= {(code, status) for code, status in found if status}
    assert list(read) == sorted(read)
    assert list(sent) == sorted(sent)
    assert not set(read) & set(sent)


def test_every_flag_is_described_and_every_described_flag_is_raised():
    seen = {flag for header, files, _ in FLAGGED.values() for flag in standardise(parse_recording(header, files)).flags}
    seen |= set(parse_recording(as_bytes(LINES), {"r.dat": DAT[:-2] + b"\5\0"}, strict=False).flags)
    seen |= set(standardise(parse_recording(*of(ELEVEN_ROWS, names=ELEVEN)), allow_missing_leads=True).flags)
    seen |= set(standardise(parse_recording(as_bytes(header_lines(GOOD)), HELD), rr_ms=1600).flags)
    described = [row[0] for row in rows_of("Flags")]
    assert set(described) == {re.sub(rf":({'|'.join(LEADS)})$", ":lead", flag) for flag in seen}
    assert described == sorted(described)
