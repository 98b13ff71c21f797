"""CSV files as archives really write them."""

import gzip

import pytest

from ecgray.archives.csv_file import csv_path, read_csv
from ecgray.errors import ArchiveError


def read(tmp_path, content: bytes, required=("a", "b"), optional=()):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    table, malformed = read_csv(path, list(required), optional=list(optional))
    return {name: column.to_pylist() for name, column in table.items()}, malformed


def test_line_breaks_within_fields_belong_to_the_field(tmp_path):
    columns, malformed = read(tmp_path, b'a,b\n"x\ny","F\n"\n1,2\n')
    assert columns == {"a": ["x\ny", "1"], "b": ["F", "2"]}
    assert malformed == 0


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbfa,b\r\n1,2\r\n")[0] == {"a": ["1"], "b": ["2"]}


def test_a_line_of_another_encoding_spoils_no_other(tmp_path):
    columns, _ = read(tmp_path, "a,b\ngr\u00f6\u00dfe,1\n".encode() + "gr\u00f6\u00dfe,2\n".encode("cp1252"))
    assert columns["a"] == ["gr\u00f6\u00dfe", "gr\u00f6\u00dfe"]


def test_rows_of_the_wrong_length_are_counted_and_left_out(tmp_path):
    columns, malformed = read(tmp_path, b"a,b\n1,2\n1,2,3\n4\n5,6\n")
    assert (columns["a"], malformed) == (["1", "5"], 2)


def test_an_optional_column_may_lack(tmp_path):
    assert read(tmp_path, b"a,b\n1,2\n", optional=("c",))[0] == {"a": ["1"], "b": ["2"], "c": [""]}


def test_gzip_is_read_where_the_plain_file_is_not_there(tmp_path):
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    table, _ = read_csv(csv_path(tmp_path, "t.csv"), ["a"])
    assert table["a"].to_pylist() == ["1"]


@pytest.mark.parametrize("header", [b"a, b", b" a ,b ", b'"a", "b"', b"\xef\xbb\xbfa, b\r"])
def test_blanks_around_the_names_of_columns_do_not_count(tmp_path, header):
    assert read(tmp_path, header + b"\n1, 2\n")[0] == {"a": ["1"], "b": ["2"]}


def test_a_comma_in_a_quoted_name_parts_no_columns(tmp_path):
    assert read(tmp_path, b'"x, y",a,b\n0,1,2\n')[0] == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize("damage", [lambda packed: packed[:40], lambda packed: b"no gzip", lambda packed: packed[:-3]])
def test_a_damaged_gzip_is_said_in_a_sentence(tmp_path, damage):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(damage(gzip.compress(b"a,b\n" + bytes(range(48, 58)) * 300)))
    with pytest.raises(ArchiveError, match=r"t\.csv\.gz cannot be read to its end \(.+\); was it copied completely\?"):
        read_csv(path, ["a"])


def test_lines_may_end_as_on_an_old_macintosh(tmp_path):
    assert read(tmp_path, b"a,b\r1,2\r3,4\r")[0] == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    "content",
    [b"", b"a,c\n1,2\n", b'a,b\n"1,2\n', b'a,b\n3,"4\n5,6\n7,8\n', b"a" * 200_000, bytes(range(256)) * 9],
    ids=["empty", "no column b", "open quote", "open quote that swallows two rows", "one endless line", "binary"],
)
def test_what_is_no_such_table_is_said_in_a_sentence(tmp_path, content):
    with pytest.raises(ArchiveError, match=r"table\.csv"):
        read(tmp_path, content)
