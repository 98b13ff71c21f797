"""`ecgray classify FILE -q QUERY`: what a recording shows, asked in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ecgray.client import Client
from ecgray.commands.local import Reading, classified, take
from ecgray.commands.screen import bar, coloured, plain, say, say_json
from ecgray.errors import ConfigError, EcgrayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ecgray.service.inputs import Taken


@dataclass(frozen=True, kw_only=True)
class Classify:
    """Ask questions of recordings: WFDB (.hea), zip, npy, csv or edf. Research use only, no medical device."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")]
    """A recording or several."""
    query: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(aliases=["-q"])] = ()
    """What is asked, as "atrial fibrillation"; give it once for each question."""
    queries: str | None = None
    """Many: a file with one question a line, JSON {name: question}, or a list's name, as ptbxl-super."""
    model: Path | None = None
    """A classifier's folder; by default the small one that ships."""
    server: str | None = None
    """Ask a service instead, as http://127.0.0.1:8000; its token is taken from ECGRAY_TOKEN."""
    reading: Reading = Reading()
    json: bool = False
    """Print one JSON object, as the service answers."""


def run(command: Classify) -> int:
    """Answer, and say so; 2 where a recording of several could not be read."""
    if not command.files:
        raise ConfigError("no recording is named; give one, as `ecgray classify recording.hea -q 'sinus rhythm'`.")
    if command.server is not None and command.model is not None:
        raise ConfigError("--model is a folder here, and --server has its own; give one of the two.")
    queries = asked(command.query, command.queries)
    answers = _by_server(command, queries) if command.server else _here(command, queries)
    errors = [answer for answer in answers if isinstance(answer, EcgrayError)]
    if len(answers) == 1 and errors:
        raise errors[0]
    if command.json:
        say_json(_as_json(command.files, answers))
    else:
        _show(command.files, answers)
    return 2 if errors else 0


def asked(named: Sequence[str], many: str | None) -> list[str]:
    """The questions, each once; raises `ConfigError` where there are none."""
    from ecgray.text.tasks import load_task, queries_of, task_of_queries

    found = list(named)
    if many is not None:
        found += queries_of(load_task(many).classes)
    if not found:
        raise ConfigError("nothing is asked; give -q 'atrial fibrillation', or --queries ptbxl-super.")
    distinct = dict.fromkeys(found)
    return queries_of(task_of_queries("the questions", {query: query for query in distinct}).classes)


def _here(command: Classify, queries: Sequence[str]) -> list[dict[str, Any] | EcgrayError]:
    """All recordings in one go; a recording that cannot be read has its error in its place."""
    found: list[Taken | EcgrayError] = []
    for file in command.files:
        try:
            found.append(take(file, command.reading))
        except EcgrayError as error:
            found.append(error)
    good = [each for each in found if not isinstance(each, EcgrayError)]
    if not good:
        return [each for each in found if isinstance(each, EcgrayError)]
    answers = iter(classified(command.model, good, queries))
    return [each if isinstance(each, EcgrayError) else next(answers) for each in found]


def _by_server(command: Classify, queries: Sequence[str]) -> list[dict[str, Any] | EcgrayError]:
    reading, found = command.reading, list[dict[str, Any] | EcgrayError]()
    with Client(command.server or "") as client:
        for file in command.files:
            try:
                answer = client.classify_file(
                    file,
                    queries,
                    fs=reading.fs,
                    unit=reading.unit,
                    leads=reading.lead_names,
                    allow_missing_leads=reading.allow_missing_leads,
                    strict=not reading.ignore_checksums,
                    start_s=reading.start_s,
                )
                found.append(answer.raw)
            except EcgrayError as error:
                if error.exit_status == 1:  # the server's fault, which the next file would meet as well
                    raise
                found.append(error)
    return found


def _as_json(files: Sequence[Path], answers: Sequence[dict[str, Any] | EcgrayError]) -> dict[str, Any]:
    """One answer as it is; several as the service's batch, with each file's name."""
    if len(answers) == 1:
        return {"file": str(files[0]), **_plain_answer(answers[0])}
    items = [
        {"index": n, "file": str(file), **_plain_answer(each)}
        for n, (file, each) in enumerate(zip(files, answers, strict=True))
    ]
    good = [each for each in answers if not isinstance(each, EcgrayError)]
    about = {name: good[0][name] for name in ("model", "notice")} if good else {}
    for item in items:
        for name in ("model", "notice"):
            item.pop(name, None)
    return {"count": len(items), "errors": len(items) - len(good), "items": items, **about}


def _plain_answer(answer: dict[str, Any] | EcgrayError) -> dict[str, Any]:
    if isinstance(answer, EcgrayError):
        return {"error": {"code": getattr(answer, "code", type(answer).__name__), "detail": str(answer)}}
    return answer


def _show(files: Sequence[Path], answers: Sequence[dict[str, Any] | EcgrayError]) -> None:
    """Quality first, then what was done, then the answers, the likeliest on top."""
    for file, answer in zip(files, answers, strict=True):
        say(coloured(plain(str(file)), "bold"))
        if isinstance(answer, EcgrayError):
            say(f"  {coloured('not read', 'red')}  {plain(str(answer))}")
        else:
            say(f"  quality   {quality(answer['quality'])}")
            say(f"  read as   {done(answer['input'])}")
            for one in sorted(answer["results"], key=lambda one: -one["probability"]):
                doubt = coloured(f"  ({', '.join(one.get('flags', ()))})", "yellow") if one.get("flags") else ""
                say(f"  {one['probability']:8.4f}  {bar(one['probability'])}  {plain(one['query'])}{doubt}")
        say("")
    last = next((answer for answer in reversed(answers) if not isinstance(answer, EcgrayError)), None)
    if last is not None:
        model = last["model"]
        say(f"{model['kind']} {model['version']} ({model['preset']}, {model['sha256']}). {last['notice']}")


def quality(said: dict[str, Any]) -> str:
    """Whether the recording can be trusted.

    >>> quality({"ok": True, "flags": ["resampled"]})
    'nothing odd was seen'
    """
    if said["ok"]:
        return coloured("nothing odd was seen", "green")
    return coloured(f"LOOK AT THE RECORDING FIRST: {', '.join(said['flags'])}", "yellow")


def done(said: dict[str, Any]) -> str:
    """What came, and what was done to it.

    >>> window = {"window_s": [0.0, 10.0], "padded": False, "resampled": True}
    >>> done({"fs_hz": 250.0, "duration_s": 12.0, "unit": "mV", "leads_found": ["I", "II"], **window,
    ...       "leads_derived": ["III"], "leads_missing": []})
    '12 s at 250 Hz in mV, resampled to 500 Hz; seconds 0 to 10; leads I, II; derived III'
    """
    unit = f" in {said['unit']}" if said["unit"] else ""  # else the recording says it itself
    how = [f"{said['duration_s']:g} s at {said['fs_hz']:g} Hz{unit}"]
    how += ["resampled to 500 Hz"] if said["resampled"] else []
    how += ["zeros up to 10 s"] if said["padded"] else []
    begin, end = said["window_s"]
    found = said["leads_found"]
    parts = [", ".join(how), f"seconds {begin:g} to {end:g}"]
    parts.append("all twelve leads" if len(found) == 12 else f"leads {', '.join(found)}")
    for word, name in (("derived", "leads_derived"), ("missing", "leads_missing")):
        parts += [f"{word} {', '.join(said[name])}"] if said[name] else []
    return "; ".join(parts)
