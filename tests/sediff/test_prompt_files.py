"""Files of prompts: what they say, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.sediff.prompt_files import read_prompts
from ecgray.sediff.prompts import Prompt


def read(tmp_path: Path, name: str, content: str | bytes) -> list[Prompt]:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_prompts(path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_prompts_are_read_from_lines_and_from_columns(tmp_path: Path, mark: str, end: str) -> None:
    lines = f"{mark}sinus rhythm\n\n atrial flutter \n".replace("\n", end)
    assert [prompt.text for prompt in read(tmp_path, "lines.txt", lines)] == ["sinus rhythm", "atrial flutter"]
    rows = f'{mark}text, age,sex,heart_rate\n"sinus rhythm, normal",70,f,6.4e1\n\nlbbb,,,\n'.replace("\n", end)
    first, second = read(tmp_path, "rows.csv", rows)
    assert first == Prompt(text="sinus rhythm, normal", age=70, sex="F", heart_rate_bpm=64)
    assert second == Prompt(text="lbbb")


HEAD = "text,age,sex,heart_rate\nlbbb,,,\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (HEAD + "AF,,,7x", r"line 3: heart_rate is no number"),
        (HEAD + "AF,,,nan", r"line 3: heart_rate is no number"),
        (HEAD + '"AF,\nfast",,,120\n\nAF,fifty,,', r"line 6: age is no number"),
        (HEAD + "AF,300,,", r"line 3: age=300 must"),
        (HEAD + "AF,,x,", r"line 3: sex='X' must"),
        (HEAD + ",3,,", r"line 3: a prompt is empty"),
        (HEAD + "a" * 3000 + ",3,,", r"line 3: a prompt has 3,000 characters"),
        (HEAD + "AF, fast,3,,", r"line 3: 5 fields for 4 columns"),
        (HEAD + '"AF" fast,3,,', r"line 3: a field is too long or its quotes"),
        (HEAD + '"AF,3,,\n', r"line 3: a field is too long or its quotes"),
        (HEAD + "A\x07F,,,", r"line 3: a prompt holds control characters"),
        ("text,hr\nAF,60\n", r"a column 'hr', and the columns are text, age, sex, heart_rate, experience"),
        ("text,Age\nAF,60\n", r"a column 'Age'"),
        ("text,age,age\nAF,60,60\n", r"two columns 'age'"),
        ("text;age\nAF;60\n", r"no column text; a CSV of prompts is UTF-8 and comma-separated"),
        ("text,age\nAF,60\n".encode("utf-16"), r"is no UTF-8 text; save it as UTF-8, comma-separated"),
        ("text,age\nAF,60\n".encode("utf-16-le"), r"is no UTF-8 text"),
        ("text\nBlock bei Frau M\u00fcller\n".encode("cp1252"), r"is no UTF-8 text"),
        ("text,age\n", r"has no prompt"),
        ("", r"has no prompt"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, content: str | bytes, named: str) -> None:
    with pytest.raises(ConfigError, match=r"p\.csv") as caught:
        read(tmp_path, "p.csv", content)
    caught.match(named)
    assert "AF" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("\n \n", "has no prompt"),
        (bytes(range(256)), "is no UTF-8 text"),
        ("sinus rhythm\n".encode("utf-16"), "is no UTF-8 text"),
        ("sinus rhythm\n\n" + "x" * 3000, "line 3: a prompt has 3,000 characters"),
        ("sinus rhythm\nAF \x1b[2J\n", "line 2: a prompt holds control characters"),
    ],
)
def test_lines_that_cannot_be_meant_are_refused(tmp_path: Path, content: str | bytes, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read(tmp_path, "p.txt", content)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        read_prompts(tmp_path / "nothing.csv")
