"""Labels from what a model read in the reports: two passes over the entities table, a file at a time.

The first pass counts the distinct entities, which are mapped once; the second gives each record its terms.
"""

from __future__ import annotations

import collections
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from ecgray.errors import ConfigError
from ecgray.output import write_bytes
from ecgray.parquet import parquet_files, table_folder
from ecgray.tables import ENTITIES
from ecgray.text.encoders import load_text_encoder
from ecgray.text.mapping import EntityMapping, count_how, map_entities
from ecgray.text.review import Opinion, csv_bytes, decisions, read_review, write_review
from ecgray.text.terms import with_parents
from ecgray.text.wording import plain_name

if TYPE_CHECKING:
    from ecgray.recipes.label import LabelConfig

_plain = functools.lru_cache(maxsize=1 << 16)(plain_name)
Said = tuple[tuple[str, ...], tuple[str, ...], str]
"""What is said of a record: terms, what no term stands for, and why there is no term, if there is none."""


class ByEntities:
    """The entities of the reports, mapped to terms; or their raw names, where `dedup` is off."""

    reasons: tuple[str, ...] = ("without_entities", "only_uncertain", "without_terms")

    def __init__(self, config: LabelConfig, parts: list[Path]) -> None:
        assert config.entities is not None
        self._config = config
        self._opinions: dict[str, Opinion] = read_review(config.review) if config.review else {}
        self._files = _files_beside(parts, table_folder(config.entities, "entities"))
        self._uncertain = 0
        self._records = self._count(parts)
        names = sorted(self._records, key=lambda name: (-self._records[name], name))
        self._mapped = self._map(names) if config.dedup == "on" else ()
        self._terms = {one.entity: one.terms for one in self._mapped} or {
            name: (name,) if self._records[name] >= config.min_count else () for name in names
        }
        self._decided = {one.entity for one in self._mapped if one.how == "review"}
        self._together = functools.lru_cache(maxsize=1 << 16)(self._of_entities)

    def _map(self, names: list[str]) -> tuple[EntityMapping, ...]:
        return map_entities(
            names,
            load_text_encoder(self._config.text_encoder),
            min_similarity=self._config.min_similarity,
            group_similarity=self._config.group_similarity,
            review=decisions(self._opinions),
        )

    def _count(self, parts: list[Path]) -> collections.Counter[str]:
        """How many records name each entity that counts."""
        count: collections.Counter[str] = collections.Counter()
        for part in parts:
            found = self._read_entities(self._files[part.name])
            _refuse_strangers(found, self._files[part.name], part)
            for entities in found.values():
                self._uncertain += entities.pop("", 0)
                count.update(entities.keys())
        return count

    def _read_entities(self, file: Path) -> dict[str, dict[str, int]]:
        """Record to its entities that count; under "" the number of those that are dropped as uncertain."""
        table = pq.read_table(file, columns=["record_id", "entity", "certainty"])
        drop = self._config.uncertain == "drop"
        found: dict[str, dict[str, int]] = {}
        for record, entity, certainty in zip(*(column.to_pylist() for column in table.columns), strict=True):
            entities = found.setdefault(record, {})
            if drop and certainty == "Uncertain":
                entities[""] = entities.get("", 0) + 1
            elif name := _plain(entity):
                entities[name] = 1
        return found

    def read(self, part: Path) -> list[Said]:
        """What is said of each record of a file of the records table."""
        entities = self._read_entities(self._files[part.name])
        return [self._said(entities.get(record)) for record in _record_ids(part)]

    def _said(self, entities: dict[str, int] | None) -> Said:
        if not entities:
            return (), (), "without_entities"
        names = frozenset(entities) - {""}
        return self._together(names) if names else ((), (), "only_uncertain")

    def _of_entities(self, names: frozenset[str]) -> Said:
        """Records share their sets of entities."""
        terms = {term for name in names for term in self._terms[name]}
        unmapped = tuple(sorted(name for name in names - self._decided if not self._terms[name]))
        parents = self._config.with_parents and self._config.dedup == "on"
        held = with_parents(terms) if parents else tuple(sorted(terms))
        return held, unmapped, "" if held else "without_terms"

    def noted(self) -> dict[str, Any]:
        """How each entity was mapped, most frequent first."""
        rows = [
            {"entity": one.entity, "terms": list(one.terms), "how": one.how, "similarity": one.similarity}
            | {"records": self._records[one.entity]}
            for one in self._mapped
        ]
        return {"entities": rows}

    def finish(self, out: Path) -> dict[str, Any]:
        """Write mapping.csv and review.csv; returns the figures."""
        figures: dict[str, Any] = {"entities": len(self._records), "uncertain_dropped": self._uncertain}
        if self._config.dedup == "off":
            return figures
        rows = [
            (one.entity, "; ".join(one.terms), one.how, similarity, self._records[one.entity])
            for one in self._mapped
            for similarity in ["" if one.similarity is None else f"{one.similarity:.4f}"]
        ]
        write_bytes(out / "mapping.csv", csv_bytes(("entity", "terms", "how", "similarity", "records"), rows))
        write_bytes(out / "review.csv", write_review(self._mapped, self._records, self._opinions))
        how = count_how(self._mapped)
        del how["unmapped"]  # already counted with the labels
        if self._opinions:  # a decision about an entity that no record names may be a slip of the pen
            figures["decisions_unused"] = len(decisions(self._opinions).keys() - self._records.keys())
        return figures | how


def _record_ids(part: Path) -> list[str]:
    ids: list[str] = pq.read_table(part, columns=["record_id"])["record_id"].to_pylist()
    return ids


def _refuse_strangers(entities: dict[str, dict[str, int]], file: Path, part: Path) -> None:
    strangers = len(entities.keys() - set(_record_ids(part)))
    if strangers:
        raise ConfigError(
            f"{file} speaks of {strangers} records that {part} does not hold; give the --records that the extract job "
            "read."
        )


def _files_beside(parts: list[Path], folder: Path) -> dict[str, Path]:
    """The entities file of each records file: they have the same names.

    Raises `ConfigError` where they have not, or are no entities.
    """
    files = {file.name: file for file in parquet_files(folder)}
    names = {part.name for part in parts}
    if names != files.keys():
        odd = sorted(names ^ files.keys())[0]
        raise ConfigError(
            f"{folder} holds {len(files)} files and the records {len(parts)}, and {odd} is in one of them only; give "
            "the --records that the extract job read."
        )
    for file in files.values():
        missing = sorted(set(ENTITIES.names) - set(pq.read_schema(file).names))
        if missing:
            raise ConfigError(f"{file} has no column '{missing[0]}'; give OUT of an extract job as --entities.")
    return files
