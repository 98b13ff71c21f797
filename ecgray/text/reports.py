"""A report from its statements: a recorder prints up to 18 short lines, the table holds them as one text.

The statements are joined by ". " and keep the source's wording; nothing is lower-cased, replaced or left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

JOINT = ". "
"""What stands between two statements of a report."""


def join_statements(statements: Iterable[str | None]) -> str:
    r"""One report from its statements, in their order; empty ones are passed over.

    White space within a statement (line breaks too) becomes one blank, and a full stop that ends it is left out.

    >>> join_statements(["Sinus rhythm", "", None, "Possible right atrial\n abnormality.", "Borderline ECG"])
    'Sinus rhythm. Possible right atrial abnormality. Borderline ECG'
    """
    cleaned = (" ".join(statement.split()).rstrip(" .") for statement in statements if statement)
    return JOINT.join(statement for statement in cleaned if statement)


def join_statement_columns(columns: Sequence[pa.Array]) -> pa.Array:
    """`join_statements` for a whole table at once: one column a statement, one report a row.

    >>> first, second = pa.array(["Sinus rhythm", ""]), pa.array(["Normal  ECG.", None])
    >>> join_statement_columns([first, second]).to_pylist()
    ['Sinus rhythm. Normal ECG', '']
    """
    report = pa.array([""] * len(columns[0]), pa.string())
    for column in columns:
        blanks = pc.replace_substring_regex(pc.fill_null(column, ""), r"\s+", " ")
        statement = pc.utf8_rtrim(pc.utf8_trim_whitespace(blanks), " .")
        both = pc.and_(pc.not_equal(report, ""), pc.not_equal(statement, ""))
        # one column after the other: Arrow's join of many columns drops a row where all of them are null
        report = pc.binary_join_element_wise(report, statement, pc.if_else(both, JOINT, ""))
    return report
