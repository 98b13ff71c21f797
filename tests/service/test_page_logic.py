"""The page's words: requests to copy, events, flags, answers, where an answer comes from, prompts and links."""

from __future__ import annotations

import ast
import json
import re
import shlex
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("py_mini_racer", reason="mini-racer is not installed: the page's modules are not run")

from page_logic import Logic, open_logic

from ecgray.leads import LEADS
from ecgray.service.inputs import _quality as described

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def logic() -> Iterator[Logic]:
    with open_logic() as logic:
        yield logic


# --- requests


def test_a_curl_line_is_read_by_a_shell_as_it_was_meant(logic):
    queries = ["it's AF?", 'a "b" & c=d', "\u00fcber 100 %"]
    settings = {"fs": 250, "unit": "mV", "leads": ["I", "II"], "start_s": 2.5}
    source = {"kind": "file", "names": ["my file's.npy"], "settings": settings}
    line = logic.run(
        "classifyCurl({origin, source, queries})", origin="http://127.0.0.1:8000", source=source, queries=queries
    )
    words = shlex.split(line.replace("\\\n", " "))
    assert words[-2:] == ["--data-binary", "@my file's.npy"]
    assert "Content-Type: application/x-npy" in words
    address = urllib.parse.urlsplit(next(word for word in words if word.startswith("http")))
    asked = urllib.parse.parse_qs(address.query)
    assert (address.path, asked["q"]) == ("/v1/classify/file", queries)
    assert (asked["fs"], asked["leads"], asked["start_s"]) == (["250"], ["I,II"], ["2.5"])


def test_python_lines_are_python(logic):
    queries = ['it\'s "AF"\\', "\u00fc\u2028\U0001f600", "line\nbreak"]
    source = {"kind": "files", "names": ["a b.hea", "a b.dat"], "settings": {"strict": False}}
    text = logic.run("classifyPython({origin, source, queries})", origin="http://h:1", source=source, queries=queries)
    tree = ast.parse(text)
    assert (
        ast.literal_eval(
            next(
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.List | ast.Assign)
                and isinstance(node, ast.Assign)
                and node.targets[0].id == "queries"
            )
        )
        == queries
    )
    assert 'classify_file("a b.hea", queries, strict=False)' in text
    asked = {
        "prompt": "sinus 'x'",
        "age": 71,
        "sex": "",
        "heart_rate": None,
        "n": 2,
        "seed": 2**53 - 1,
        "guidance_scale": 1.5,
    }
    drawn = logic.run("generatePython({origin, asked})", origin="http://h:1", asked=asked)
    call = next(
        node
        for node in ast.walk(ast.parse(drawn))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "client.generate"
    )
    assert {word.arg: ast.literal_eval(word.value) for word in call.keywords} == {
        "age": 71,
        "n": 2,
        "guidance_scale": 1.5,
        "seed": 2**53 - 1,
    }
    line = shlex.split(
        logic.run("generateCurl({origin, asked})", origin="http://h:1", asked=asked).replace("\\\n", " ")
    )
    assert json.loads(line[line.index("-d") + 1])["prompt"] == "sinus 'x'"


# --- words


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_are_the_same_however_the_stream_is_cut(logic, size, end):
    text = end.join(
        [
            "event: progress",
            'data: {"step": 1}',
            "",
            ": a comment",
            "data:a",
            "data: b",
            "id: 3",
            "",
            "event: x",
            "",
            "event: result",
            "data: {}",
            "",
            ": end",
            "",
        ]
    )
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    found = logic.run("(reader => pieces.flatMap(piece => reader.feed(piece)))(eventReader())", pieces=pieces)
    assert found == [
        {"event": "progress", "data": '{"step": 1}'},
        {"event": "message", "data": "a\nb"},
        {"event": "result", "data": "{}"},
    ]


def documented(page: str, heading: str) -> list[str]:
    """The words in the first column of the table after a heading."""
    text = (ROOT / "docs" / page).read_text().partition(heading)[2].partition("|---|")[2]
    rows = re.match(r"[^\n]*\n((?:\|.*\n)+)", text)[1].splitlines()
    cells = [row.split("|")[1] for row in rows]
    return [word.removesuffix(":lead") for cell in cells for word in re.findall(r"[a-z0-9_:]{4,}", cell)]


def test_every_flag_of_the_documents_is_explained(logic):
    flags = documented("data.md", "\n## Flags")
    assert len(flags) > 15
    found = logic.run("explainedQuality(flags)", flags=flags)
    assert {each["flag"] for each in found if each["text"]} == set(flags)
    assert {each["flag"] for each in found if not each["doubtful"]} == {
        flag for flag in flags if described([flag])["ok"]
    }
    assert [each["doubtful"] for each in found] == sorted((each["doubtful"] for each in found), reverse=True)
    reasons = documented("data.md", "`missing` says why")
    assert {"no_beat", "no_t_wave"} <= set(reasons)
    assert not set(logic.run("words_.map(explainedReason)", words_=reasons)) & set(reasons)
    prompts = documented("generation.md", "**What is flagged**")
    assert {"negation", "sex_against_text"} <= set(prompts)
    assert not set(logic.run("words_.map(explainedPrompt)", words_=prompts)) & set(prompts)


def test_flags_are_gathered_and_unknown_ones_shown_as_they_are(logic):
    found = logic.run("explainedQuality(flags)", flags=["resampled", "noise_high:V1", "constructor", "noise_high:V2"])
    assert [(each["flag"], each["leads"], each["doubtful"]) for each in found] == [
        ("noise_high", ["V1", "V2"], True),
        ("constructor", [], True),
        ("resampled", [], False),
    ]
    assert (found[1]["title"], found[1]["text"]) == ("constructor", "")


def test_answers_are_ranked_and_never_rounded_to_certainty(logic):
    results = [
        {"query": name, "probability": value} for name, value in (("a", 0.2), ("b", 0.999), ("c", 0.2), ("d", 0.3))
    ]
    assert [each["query"] for each in logic.run("ranked(results)", results=results)] == ["b", "d", "a", "c"]
    assert logic.run("[0, 0.004, 0.995, 1, 0.126].map(twoDigits)") == ["0.00", "<0.01", ">0.99", "1.00", "0.13"]


def test_a_null_is_a_dash_with_its_reason(logic):
    rows = logic.run("measuredRows({heart_rate_bpm: 71.9, pr_ms: null}, {pr_ms: 'no_p_wave'})")
    assert [(row["title"], row["value"], row["reason"]) for row in rows] == [
        ("Heart rate", "72", ""),
        ("PR", "\u2013", "no P wave before most beats"),
    ]
    assert logic.run("askedAgainst(48, 47.2)") == {"text": "48 asked, 47 bpm measured (\u22121)", "far": False}
    assert logic.run("askedAgainst(48, 60)")["far"]
    assert logic.run("askedAgainst(null, 60)") == {"text": "60 bpm (none asked)", "far": False}
    said = logic.run("askedAgainst(null, 61, {assumed: 70})")
    assert said == {"text": "70 assumed, 61 bpm measured (\u22129)", "far": True}
    assert logic.run("askedAgainst(null, null)") == {"text": "not measured", "far": False}
    assert (
        logic.run("askedAgainst(60, null, {reason: 'no_beat'})")["text"] == "60 asked, not measured (no QRS was found)"
    )


def test_leads_are_listed_as_people_say_them(logic):
    assert logic.run("listedLeads(['I', 'V1', 'V2', 'V3', 'V5', 'V6'])") == "I, V1\u2013V3, V5, V6"
    assert logic.run("listedLeads(LEADS)") == "all twelve"


def test_the_summary_says_where_the_weight_lies(logic):
    """Planted: V1 and V2 at 2.1 to 2.4 s, where an R peak is."""
    parts = np.zeros((12, 100))
    parts[6:8, 21:24] = [[1, 2, 1], [-1, -2, -1]]
    parts[0, 50] = 0.5
    explained = {"leads": list(LEADS), "step_s": 0.1, "contributions": parts.tolist()}
    words = logic.run("inWords(explained, [2.25], page({layout: '12x1'}).cells)", explained=explained)
    assert words.startswith(
        "Most in V1, V2 (94 % of the weight), strongest at 2.1\u20132.4 s. 94 % lies within 0.1 s of an R peak"
    )
    assert "layout" not in words
    assert "This layout shows 0 %" in logic.run("inWords(explained, [], page().cells)", explained=explained)
    shares = logic.run("byLead(explained)", explained=explained)
    assert sum(each["share"] for each in shares) == pytest.approx(1)
    assert [each["net"] for each in shares] == parts.sum(axis=1).tolist()


def test_files_find_together(logic):
    header = "a 2 500 5000\n# x.dat\nA.DAT 16 1000/mV 16 0 0 0 0 I\nA.DAT 16 1000/mV 16 0 0 0 0 II\n../e 16\n"
    files = [
        {"name": "b.npy"},
        {"name": "a.dat"},
        {"name": "a.hea", "header": header},
        {"name": "r.ZIP"},
        {"name": "x.pdf"},
    ]
    found = logic.run("grouped(files)", files=files)
    assert [(each["title"], each["kind"], each["places"]) for each in found["recordings"]] == [
        ("a", "files", [2, 1]),
        ("b.npy", "file", [0]),
        ("r.ZIP", "file", [3]),
    ]
    assert found["problems"] == ["x.pdf is none of .hea with .dat, .zip, .npy, .csv or .edf."]
    assert "A.DAT, which was not chosen" in logic.run("grouped(files)", files=[files[2]])["problems"][0]
    assert "no header" in logic.run("grouped(files)", files=[files[1]])["problems"][0]


@pytest.mark.parametrize(
    ("prompt", "questions"),
    [
        ("sinus bradycardia, left bundle branch block", ["sinus bradycardia", "left bundle branch block"]),
        ("Atrial fibrillation with LBBB, 130 bpm, 71-year-old woman", ["Atrial fibrillation", "LBBB"]),
        ("74 y male; heart rate of 48. inferior infarction", ["inferior infarction"]),
        ("72 bpm", []),
        ("V1-V3 ST elevation", ["V1-V3 ST elevation"]),
    ],
)
def test_a_prompt_becomes_questions(logic, prompt, questions):
    assert logic.run("questionsOf(prompt)", prompt=prompt) == questions


def test_a_link_holds_the_seed_and_the_text_only_when_asked(logic):
    asked = {"prompt": "sinus & co #1", "age": None, "sex": "F", "seed": 7, "sampler": "sde-dpm++", "n": 2}
    plain = logic.run("toFragment(asked)", asked=asked)
    assert (plain[:7], "sinus" in plain) == ("#write?", False)
    assert logic.run("fromFragment(text)", text=plain) == {
        "pane": "write",
        "asked": {"n": 2, "seed": 7, "sex": "F", "sampler": "sde-dpm++"},
    }
    whole = logic.run("toFragment(asked, {withPrompt: true})", asked=asked)
    assert logic.run("fromFragment(text)", text=whole)["asked"]["prompt"] == asked["prompt"]
    odd = logic.run("fromFragment('#write?seed=x&n=&sex=Q&evil=1&prompt=%E0%A4')")
    assert odd == {"pane": "write", "asked": {"prompt": ""}}
    assert logic.run("fromFragment('#main')") == {"pane": None, "asked": {}}


def test_questions_come_one_a_line_and_once(logic):
    assert logic.run("typedQuestions(' AF \\n\\nlbbb\\r\\nAF', ['LBBB'])") == ["AF"]


def test_a_batch_is_one_line_a_recording(logic):
    entries = [
        {
            "title": "a",
            "quality": {"ok": False, "flags": ["x", "y"]},
            "intervals": {"qrs_ms": 90.5},
            "results": [{"query": "q", "probability": 0.5}],
        },
        {"title": "b", "error": "No."},
    ]
    head, first, second = logic.run("batchRows(entries, ['q'])", entries=entries)
    assert dict(zip(head, first, strict=True)) | {"heart_rate_bpm": None} == {
        **dict.fromkeys(("heart_rate_bpm", "pr_ms", "qt_ms", "qtcf_ms")),
        **{"recording": "a", "quality_ok": "false", "flags": "x y", "qrs_ms": 90.5, "q": 0.5, "error": ""},
    }
    assert (second[0], second[-1], second[-2]) == ("b", "No.", None)
