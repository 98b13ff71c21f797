"""Reports keep their statements' words, in their order, whichever of the two ways assembles them."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ecgray.text.reports import join_statement_columns, join_statements

statements = st.lists(
    st.lists(st.one_of(st.none(), st.text("ab .\n\t-*", max_size=6)), min_size=3, max_size=3), min_size=1, max_size=5
)


@given(statements)
def test_columns_and_rows_give_the_same_reports(rows):
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    assert join_statement_columns(columns).to_pylist() == [join_statements(row) for row in rows]


def test_a_row_without_any_statement_keeps_its_place():
    empty = pa.array([None, "Sinus rhythm", ""])
    assert join_statement_columns([empty, empty]).to_pylist() == ["", "Sinus rhythm. Sinus rhythm", ""]


def test_the_wording_is_the_sources():
    assert join_statements(["*** EKG =- Normal", "SINUS rhythm"]) == "*** EKG =- Normal. SINUS rhythm"
