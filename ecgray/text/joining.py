"""The entities of a whole report from those of its statements: the same finding twice counts once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ecgray.text.entities import Entity, Reading


@dataclass(frozen=True)
class Found:
    """An entity, and the statement that it stands in."""

    statement: str
    entity: Entity


def found_in(statements: Iterable[str], readings: Mapping[str, Reading]) -> list[Found]:
    """Every entity of these statements, in their order. A statement without a reading gives none."""
    return [Found(each, entity) for each in statements if each in readings for entity in readings[each].entities]


def merged(found: Sequence[Found], goes_by: Mapping[str, str]) -> list[Found]:
    """Each entity once, under the name that `goes_by` gives it: where it was stated first among the most certain.

    >>> possible, plain = Entity("lvh", "Uncertain", "lvh"), Entity("lvh", "Abnormal", "lvh")
    >>> merged([Found("possible lvh", possible), Found("lvh", plain)], {})
    [Found(statement='lvh', entity=Entity(name='lvh', certainty='Abnormal', cited='lvh'))]
    """
    kept: dict[str, Found] = {}
    for each in found:
        name = goes_by.get(each.entity.name, each.entity.name)
        before = kept.get(name)
        if before is None or (before.entity.certainty == "Uncertain" != each.entity.certainty):
            kept[name] = Found(each.statement, replace(each.entity, name=name))
    return list(kept.values())
