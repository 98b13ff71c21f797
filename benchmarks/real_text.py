"""Text that no grammar of ours drew: real phrases of MIMIC-IV-ECG, KED's labels, reports of PTB-XL and LUDB.

$ python benchmarks/real_text.py --data DIR --out FILE.json
$ python benchmarks/real_text.py --data DIR --out FILE.json --model FOLDER --text-encoder MINILM_FOLDER
$ python benchmarks/real_text.py --data DIR --out FILE.json --only ked

DIR holds tables/ and ludb/. The phrases and their entities are those of ECG-FM's labeler; real_text/crosswalk.csv says
by hand what each entity is in our terms, real_text/ked_verdicts.csv which mappings of KED's labels are right. Half of
the phrases (by SHA-256) are for development; wrong answers are listed, under --lists, for that half only. A word list
without a model stands beside as a yardstick. The last line is JSON.
"""

from __future__ import annotations

import argparse
import csv
import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from real_text_scoring import HERE, RULES, STATES, Answer, Phrase, is_right, read_phrases, score, stated

from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.text.entities import AnswerError, Reading, read_answer
from ecgray.text.mapping import count_how, map_entities
from ecgray.text.model_folder import model_folder, model_hash
from ecgray.text.prompt import load_prompt
from ecgray.text.statements import split_statements
from ecgray.text.terms import TERMS

Readings = Mapping[str, Reading | None]
"""What a model answered to each statement; None where it gave no valid answer."""
PARTS = ("phrases", "ked", "ptbxl", "ludb")
_LUDB = ("Rhythms", "Electric axis of the heart", "Conduction abnormalities", "Extrasystolies", "Hypertrophies")
_LUDB_COLUMNS = (*_LUDB, "Cardiac pacing", "Ischemia", "Non-specific repolarization abnormalities", "Other states")
_NOT_ENGLISH = re.compile(
    r"[\u00e4\u00e5\u00f6\u00fc\u00df]|\b(?:nicht|sonst|oder|und|mit|bei|alter|alt|wahrscheinlich|verdacht|"
    r"abnorme?[rs]?|frische[rs]?|normales|unspezifisch\w*|moeglich|ves|sves|extrem|lahb|v\.a\.)\b|"
    r"rhythmus|rhythmie|kardie?\b|kardes\b|typ\b|schenkelblock|vorhof|kammer|hypertrophie|infarkt|ableitung|bericht|"
    r"ueber|fuer|stoerung|senkung|hebung|verdreht|ischaemie\b|steil|links|rechts|pathologisch|ausfall|rytm"
)
"""A rule of thumb for PTB-XL's German and its little Swedish: letters that English lacks, words, parts of words."""


def main() -> None:
    options = _options()
    encoder = load_text_encoder("lexical")
    encoders = [encoder, *(load_text_encoder(spec) for spec in options.text_encoder)]
    phrases = read_phrases(options.data)
    texts: dict[str, list[str]] = {}
    if "phrases" in options.only:
        texts["phrases"] = [each for one in phrases for each in split_statements(one.text)]
    if "ptbxl" in options.only:
        texts["ptbxl"] = _ptbxl(options.data, options.statements)
    if "ludb" in options.only:
        texts["ludb"] = _ludb(options.data)
    options.lists.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"phrases": {}}
    readings: Readings | None = None
    if texts:
        readings = _readings(list(dict.fromkeys(text for each in texts.values() for text in each)), options)
    if "phrases" in texts:
        yardstick = _answers(phrases, {text: word_list(text) for text in texts["phrases"]}, encoder)
        found["phrases"]["word_list"] = score(phrases, yardstick)
        if readings is not None:
            answers = _answers(phrases, readings, encoder)
            found["phrases"]["model"] = score(phrases, answers)
            _list_wrong(phrases, answers, options.lists / "wrong_development.csv")
    if readings is not None:
        if "ptbxl" in texts:
            found["ptbxl"] = _by_language(texts["ptbxl"], readings)
        if "ludb" in texts:
            found["ludb"] = _count(texts["ludb"], readings)
            _list_readings(texts["ludb"], readings, options.lists / "ludb.csv")
    if "ked" in options.only:
        found["ked"] = {_short(each): _ked(options.data, each, options.lists) for each in encoders}
    found |= _model(options)
    options.out.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lists", type=Path, default=Path("runs/real_text"), help="where lists for reading go")
    parser.add_argument("--model", default="embedded", help="embedded, or a Hugging Face folder")
    parser.add_argument("--answers", type=Path, help="JSON of statement to answer, in place of a model")
    parser.add_argument("--no-model", action="store_true", help="the word list and KED only")
    parser.add_argument("--text-encoder", action="append", default=[], help="a Hugging Face folder beside `lexical`")
    parser.add_argument("--statements", type=int, default=2000, help="statements of PTB-XL, drawn by SHA-256")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    return parser.parse_args()


def _model(options: argparse.Namespace) -> dict[str, Any]:
    """What answered."""
    if options.no_model or options.answers:
        return {"model": options.answers and f"answers of {options.answers.name}"}
    prompt = load_prompt("extract")
    return {
        "model": options.model,
        "model_hash": model_hash(model_folder(options.model)),
        "prompt_hash": prompt.hash,
    }


# --- what is asked, and what is answered


def _readings(statements: Sequence[str], options: argparse.Namespace) -> Readings | None:
    if options.no_model:
        return None
    if options.answers:
        canned = json.loads(options.answers.read_text("utf-8"))
        return {text: _reading(text, canned.get(text)) for text in statements}
    # as jobs/extract.py asks, but in this process and without a cache
    from ecgray.cluster.asking import Spent, ask
    from ecgray.cluster.engine import EngineSettings, make_engine

    engine = make_engine("vllm", EngineSettings(model=model_folder(options.model)))
    rows = ask(statements, engine, load_prompt("extract"), Spent())
    return {row.text: _reading(row.text, row.answer) for row in rows}


def _reading(text: str, answer: str | None) -> Reading | None:
    try:
        return None if answer is None else read_answer(text, answer)
    except AnswerError:
        return None


def _answers(phrases: Sequence[Phrase], readings: Readings, encoder: TextEncoder) -> dict[str, Answer]:
    """What was answered to each phrase, its statements together, with entities as terms."""
    names = sorted({each.name for reading in readings.values() if reading for each in reading.entities})
    terms = {
        name: one.terms or (name,) for name, one in zip(names, map_entities(names, encoder), strict=True)
    }  # what no term stands for keeps its name, and counts as false
    answers = {}
    for phrase in phrases:
        said = [readings[text] for text in split_statements(phrase.text)]
        known = [reading for reading in said if reading is not None]
        named = {(term, each.certainty) for one in known for each in one.entities for term in terms[each.name]}
        answers[phrase.text] = Answer(_state(said), frozenset(named))
    return answers


def _state(said: Sequence[Reading | None]) -> str:
    if any(each is None for each in said):
        return "failed"
    unknown = any(each.unknown for each in said if each)
    entities = any(each.entities for each in said if each)
    if unknown:
        return "partly" if entities else "refused"
    return "answered" if entities else "nothing"


# --- the yardstick


def word_list(statement: str) -> Reading:
    """The longest exact wordings in a statement, left to right, each stated plainly; unknown where there is none.

    >>> [each.name for each in word_list("marked sinus bradycardia, possible lvh").entities]
    ['marked sinus bradycardia', 'left ventricular hypertrophy']
    """
    words, known = _words(statement), _wordings()
    said: list[dict[str, str]] = []
    start = 0
    while start < len(words):
        lengths = range(min(len(words) - start, max(map(len, known))), 0, -1)
        length = next((each for each in lengths if words[start : start + each] in known), 0)
        if length:
            cited, term = words[start : start + length], known[words[start : start + length]]
            said.append({"cited": " ".join(cited), "entity": term, "certainty": stated(term)})
        start += length or 1
    return read_answer(statement, json.dumps({"unknown": not said, "entities": said}))


@functools.cache
def _wordings() -> dict[tuple[str, ...], str]:
    """Names, synonyms and abbreviations of three letters or more; a name wins over a synonym."""
    found: dict[tuple[str, ...], str] = {}
    for texts in (lambda t: (t.name,), lambda t: t.synonyms, lambda t: [a for a in t.abbreviations if len(a) > 2]):
        for term in TERMS.values():
            for text in texts(term):
                found.setdefault(_words(text), term.name)
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", text.lower()))


# --- KED's labels


def _ked(data: Path, encoder: TextEncoder, lists: Path) -> dict[str, Any]:
    """How each label was mapped; how many of the mappings that were read by hand are right.

    Right: the label's finding is named, by its own term or a wider one, and no term says what the label does not (a
    hedge and a degree aside). Unmapped is right where no term fits but one for anything (`abnormal qrs`).
    """
    with (data / "tables" / "ked" / "total_label_set.csv").open(newline="", encoding="utf-8") as file:
        labels = [row["total_label"] for row in csv.DictReader(file)]
    mapped = map_entities(labels, encoder)
    verdicts = _verdicts()
    lines, judged = (
        [],
        {how: Counter({"right": 0, "wrong": 0, "unread": 0}) for how in ("synonym", "nearest", "unmapped")},
    )
    for label, one in zip(labels, mapped, strict=True):
        terms = ";".join(one.terms)
        right = verdicts.get((label.strip(), terms), "")
        if one.how in judged:
            judged[one.how][{"yes": "right", "no": "wrong"}.get(right, "unread")] += 1
        nearest = "; ".join(f"{each.term} {each.similarity:.2f}" for each in one.candidates)
        lines.append([label.strip(), terms, one.how, one.similarity or "", nearest, right])
    _write(lists / f"ked_review_{_short(encoder)}.csv", ["label", "terms", "how", "similarity", "near", "right"], lines)
    return {
        "labels": len(labels),
        "how": count_how(mapped),
        "read_by_hand": {how: dict(count) for how, count in judged.items()},
        "pooler": encoder.pooler,
        "width": encoder.width,
    }


def _verdicts() -> dict[tuple[str, str], str]:
    path = HERE / "ked_verdicts.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["label"], row["terms"]): row["right"] for row in csv.DictReader(file)}


def _short(encoder: TextEncoder) -> str:
    return "lexical" if encoder.name == "lexical" else "hugging_face"


# --- PTB-XL and LUDB


def _ptbxl(data: Path, limit: int) -> list[str]:
    """Distinct statements, the first ones by their SHA-256."""
    with (data / "tables" / "ptbxl_database_partial.csv").open(newline="", encoding="utf-8") as file:
        every = {text for row in csv.DictReader(file) for text in split_statements(row["report"])}
    return sorted(every, key=lambda text: hashlib.sha256(text.encode()).hexdigest())[:limit]


def _ludb(data: Path) -> list[str]:
    with (data / "ludb" / "ludb.csv").open(newline="", encoding="utf-8") as file:
        cells = [row[column] or "" for row in csv.DictReader(file) for column in _LUDB_COLUMNS]
    return list(dict.fromkeys(text for cell in cells for text in split_statements(cell)))


def is_english(statement: str) -> bool:
    """Whether a cleaned statement does not look German or Swedish.

    >>> is_english("sinusrhythmus linkstyp"), is_english("sinus rhythm. left axis deviation")
    (False, True)
    """
    return not _NOT_ENGLISH.search(statement)


def _by_language(statements: Sequence[str], readings: Readings) -> dict[str, Any]:
    others = [text for text in statements if not is_english(text)]
    english = [text for text in statements if is_english(text)]
    return {"german_or_swedish": _count(others, readings), "english": _count(english, readings)}


def _count(statements: Sequence[str], readings: Readings) -> dict[str, Any]:
    count = Counter(_state([readings[text]]) for text in statements)
    states = {state: count[state] for state in STATES}
    share = {state: round(number / max(len(statements), 1), 4) for state, number in states.items()}
    return {"statements": len(statements), "states": states, "share": share}


# --- lists for reading


def _list_wrong(phrases: Iterable[Phrase], answers: Mapping[str, Answer], path: Path) -> None:
    wrong = [
        [one.text, answers[one.text].state, one.kind, _shown(one.gold), _shown(answers[one.text].named), passed]
        for one in phrases
        if one.half == "development" and not is_right(one, answers, RULES["strict"])
        for passed in [" ".join(name for name in ("term", "lenient") if is_right(one, answers, RULES[name]))]
    ]
    _write(path, ["phrase", "state", "kind", "gold", "answered", "right_by"], wrong)


def _shown(named: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{term} ({certainty})" for term, certainty in sorted(named))


def _list_readings(statements: Iterable[str], readings: Readings, path: Path) -> None:
    lines = []
    for text in statements:
        reading = readings[text]
        entities = reading.entities if reading else ()
        lines.append([text, _state([reading]), _shown((each.name, each.certainty) for each in entities)])
    _write(path, ["statement", "state", "answered"], lines)


def _write(path: Path, head: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *lines])


if __name__ == "__main__":
    main()
