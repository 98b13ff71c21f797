"""The page holds what it is given, escaped, and needs nothing from anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from ecgray.demo.chapters import (
    Board,
    Curve,
    Reading,
    Rebuilding,
    Refused,
    Score,
    Shown,
    Step,
    Story,
    Writing,
    Written,
)
from ecgray.demo.report import report_html
from ecgray.waveform.paper import draw_paper

NASTY = "<script src='http://evil.example'>&\"</script>"
VOID = {"meta", "br", "img", "link", "circle", "path", "rect", "polyline"}


class Page(HTMLParser):
    """Tags with their attributes, the text, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.stack: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def score(name: str, auroc: float) -> Score:
    return Score(
        name=name, auroc=auroc, low=auroc - 0.1, high=auroc + 0.05, random_auroc=0.48, positives=17, records=200
    )


def board(*scores: Score) -> Board:
    return Board(macro=0.81, low=0.78, high=0.84, random_macro=0.5, scores=scores, not_scored=("paced rhythm",))


@pytest.fixture
def story() -> Story:
    svg = draw_paper(np.zeros((12, 5000)), title=NASTY, synthetic=True)
    plain = draw_paper(np.zeros((12, 5000)), title="t")
    reading = Reading(query=NASTY, probability=0.25, above_percent=93.0, truth=True, unseen=True)
    return Story(
        patients=1200,
        records=1534,
        split_records={"train": 1228, "val": 153, "test": 153},
        train_records=987,
        test_patients=120,
        parameters=412_345,
        seconds=252.0,
        machine=NASTY,
        version="0.1.0",
        steps=(Step(meaning="Read the archive", command=f"python jobs/x.py {NASTY}", seconds=65.0, outcome=NASTY),),
        seen=board(score("atrial fibrillation", 0.93), score(NASTY, 0.71)),
        unseen=board(score("second degree av block", 0.66)),
        curves=(Curve(name="Training loss", points=((0, 0.7), (100, 0.2))), Curve(name="empty line", points=())),
        shown=(Shown(svg=svg, report=NASTY, truths=(NASTY,), readings=(reading,)),),
        rebuilt=Rebuilding(
            pictures=(plain,),
            steps=300,
            records=387,
            mae_mv=0.0712,
            correlation=0.83,
            heart_rate_error_bpm=None,
            qt_error_ms=9.4,
        ),
        written=Writing(
            shown=(
                Written(svg=svg, prompt=NASTY, asked_bpm=50.0, measured_bpm=52.4, flags=("rate_against_text",)),
                Written(svg=plain, prompt="normal ecg", asked_bpm=None, measured_bpm=None, flags=()),
            ),
            steps=300,
            records=418,
            asked=12,
            measured=11,
            error_bpm=2.4,
            seconds_each=1.25,
            sampling="dpm++, 25 steps, guidance 1.5",
        ),
        refused=(Refused(path=NASTY, code="length_mismatch", message=NASTY),),
        settings=NASTY,
    )


def test_what_is_text_stays_text(story: Story):
    page = Page(report_html(story))
    assert page.stack == []
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & {tag for tag, _ in page.tags}
    assert page.text.count(NASTY) == 15


def test_the_page_needs_nothing_from_anywhere(story: Story):
    clean = replace(story, machine="m", settings="{}", steps=(), shown=(), refused=())
    clean = replace(clean, written=replace(clean.written, shown=()))
    html = report_html(replace(clean, seen=board(score("atrial fibrillation", 0.93)))) + draw_paper(
        np.zeros((12, 5000)), title="t"
    )
    assert "//" not in html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"url\(|@import|\bsrc=|href", html)
    assert "default-src &#x27;none&#x27;" in html or "default-src 'none'" in html
    for _, attributes in Page(report_html(story)).tags:
        assert not {"src", "href", "onload", "onclick", "xlink:href", "action"} & set(attributes)


def test_what_was_asked_stands_beside_what_was_measured(story: Story):
    text = Page(report_html(story)).text
    for words in ("50 bpm", "52 bpm", "no heart rate", "none could be", "rate_against_text"):
        assert words in text
    assert "on 11 of those one could be measured, off by 2 bpm in the median" in text
    none = replace(story, written=replace(story.written, error_bpm=None, measured=0))
    assert "could be measured on none" in Page(report_html(none)).text


def test_figures_stand_with_interval_support_and_the_random_encoder(story: Story):
    row = re.search(r"<tr><td>atrial fibrillation</td>.*?</tr>", report_html(story))
    assert row
    for figure in ("0.93", "0.83 to 0.98", "0.48", "17"):
        assert f">{figure}<" in row[0]
    text = Page(report_html(story)).text
    for words in ("0.0712 mV", "not measured of heart rate", "9.4 ms of QT", "387 drawn ECGs"):
        assert words in text
    for words in ("0.81", "0.78 to 0.84", "4 min 12 s", "paced rhythm", "length_mismatch", "make demo", "drawn", "987"):
        assert words in text


def test_no_interval_is_shown_of_a_handful(story: Story):
    one = replace(score("paced rhythm", 1.0), positives=1, low=1.0, high=1.0)
    row = re.search(r"<tr><td>paced rhythm</td>.*?</tr>", report_html(replace(story, unseen=board(one))))
    assert row
    assert ">too few<" in row[0]
    assert "8H" not in row[0]


def test_the_best_class_stands_first(story: Story):
    html = report_html(replace(story, seen=board(score("worse", 0.6), score("better", 0.9))))
    assert html.index(">better<") < html.index(">worse<")


def test_the_curve_is_drawn_over_its_steps(story: Story):
    html = report_html(story)
    assert "40.0,20.0 380.0,150.0" in html  # from the highest loss at step 0 to the lowest at the last
    assert "empty line" not in html


def test_the_same_story_gives_the_same_page(story: Story):
    assert report_html(story) == report_html(replace(story))
