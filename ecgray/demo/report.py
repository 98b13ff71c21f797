"""One page that tells what a run of the demo did: report.html, self-contained, no script, no link to anywhere.

The page is a pure function of a `Story`; `ecgray.demo.story` reads one from the folders of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from ecgray.demo.chapters import Board, Reading, Rebuilding, Score, Story, Writing

CSS = Path(__file__).with_name("report.css")
FEWEST_POSITIVES = 5
"""Below so many ECGs with a condition no interval is shown."""


def report_html(story: Story) -> str:
    """The whole page."""
    sections = [
        _head(story),
        _cards(story),
        *_ecgs(story),
        *_boards(story),
        *_rebuilt(story.rebuilt),
        *_written(story.written),
        *_steps(story),
        *_curves(story),
        *_quarantine(story),
        _limits(story),
        _settings(story),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>ecgray: the demo's report</title><style>\n{CSS.read_text()}</style></head>\n<body><main>\n"
        + "\n".join(sections)
        + "\n</main></body></html>\n"
    )


def duration(seconds: float) -> str:
    """Minutes and seconds, as one says them.

    >>> duration(7.4), duration(252)
    ('7 s', '4 min 12 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def spoken(term: str) -> str:
    """A term as a cardiologist writes it; the project's own names are lower case.

    >>> spoken("second degree av block"), spoken("lateral t wave inversion")
    ('second degree AV block', 'lateral T wave inversion')
    """
    return re.sub(r"\b(av|st|qt|pr|qrs|ecg|t(?= wave))\b", lambda found: found[0].upper(), term)


def _head(story: Story) -> str:
    return (
        "<header><h1>From an archive to an answer</h1>"
        f'<p class="lead">A hospital archive of {story.records:,} ECGs of {story.patients:,} patients went in at one '
        "end; a classifier that answers free-text questions about an ECG, and a generator that writes ECGs from text, "
        "came out at the other. Everything on this page was computed by one command, <code>make demo</code>, in "
        f"{duration(story.seconds)} on {escape(story.machine)}.</p>"
        '<p class="notice"><b>These are drawn ECGs, not patients.</b> The archive is drawn by a simulator so that the '
        "demo runs anywhere without a download. The figures say that the machinery works; they say nothing of how "
        "well it reads a real ECG.</p></header>"
    )


def _cards(story: Story) -> str:
    seen, unseen = story.seen, story.unseen

    def card(kind: str, figure: str, meaning: str) -> str:
        return f'<div class="card {kind}"><b>{figure}</b><span>{meaning}</span></div>'

    return (
        '<div class="cards">'
        + card(
            "seen",
            f"{seen.macro:.2f}",
            f"macro AUROC over {len(seen.scores)} conditions whose labels it saw, on patients it never saw; "
            f"95 % interval {seen.low:.2f} to {seen.high:.2f}",
        )
        + card(
            "unseen",
            f"{unseen.macro:.2f}",
            f"macro AUROC over {len(unseen.scores)} conditions whose labels it never saw; "
            f"95 % interval {unseen.low:.2f} to {unseen.high:.2f}",
        )
        + card(
            "",
            f"{seen.random_macro:.2f} / {unseen.random_macro:.2f}",
            "the same network with random weights, for comparison: guessing scores 0.50",
        )
        + card("", f"{story.parameters:,}", f"parameters, trained on {story.train_records:,} ECGs")
        + "</div>"
    )


def _ecgs(story: Story) -> Iterator[str]:
    yield (
        "<h2>ECGs and their answers</h2>"
        "<p>Test patients only: for each of the conditions that the recipe names, the first record that carries it. "
        "Each answer is the probability that the classifier gives to the words of the question; the last column says "
        "how it stands among all test ECGs. A filled dot marks what is true. Probabilities are not calibrated.</p>"
    )
    for shown in story.shown:
        truths = ", ".join(escape(spoken(term)) for term in shown.truths) or "nothing of what is asked"
        yield (
            f'<figure><div class="wide">{shown.svg}</div><figcaption><div><h4>The classifier answers</h4>'
            f'<table class="answers">{"".join(_reading(reading) for reading in shown.readings)}</table></div>'
            f"<div><h4>True of this ECG</h4><p>{truths}</p><h4>The machine's report</h4>"
            f"<blockquote>{escape(shown.report)}</blockquote></div></figcaption></figure>"
        )


def _reading(reading: Reading) -> str:
    kind = "unseen" if reading.unseen else ""
    tag = ' <span class="tag">labels never seen</span>' if reading.unseen else ""
    dot = f'<span class="dot{" yes" if reading.truth else ""}"></span>'
    return (
        f'<tr><td class="query">{dot}{escape(spoken(reading.query))}{tag}</td>'
        f'<td class="bar"><span class="rail"><i class="{kind}" style="width:{100 * reading.probability:.1f}%"></i>'
        f'</span></td><td class="n">{reading.probability:.2f}</td>'
        f'<td class="n quiet small">above {reading.above_percent:.0f} %</td></tr>'
    )


def _boards(story: Story) -> Iterator[str]:
    yield (
        "<h2>How well it tells them apart</h2>"
        "<p>AUROC is the chance that an ECG with the condition gets a higher probability than one without: 1 is "
        f"perfect, 0.5 is guessing. Measured on {story.split_records.get('test', 0):,} ECGs of {story.test_patients:,} "
        "test patients; the whisker is the 95 % interval of a bootstrap over patients, the hollow mark the same "
        "network with random weights. Where few patients carry a condition the whisker is long: believe it. "
        f"Below {FEWEST_POSITIVES} ECGs with the condition it would say nothing and is left out.</p>"
        "<h3>Conditions whose labels it never saw</h3>"
        "<p>Records that carry one of these were left out of training and of model selection. They were fixed before "
        "any score was seen. The classifier knows them by their words alone.</p>"
    )
    yield _board(story.unseen, "var(--unseen)")
    yield "<h3>Conditions whose labels it saw</h3>"
    yield _board(story.seen, "var(--seen)")


def _board(board: Board, ink: str) -> str:
    head = (
        '<tr><th>condition</th><th class="n">AUROC</th><th class="n">95 % interval</th>'
        '<th>from 0.2 to 1.0, guessing dashed</th><th class="n away">random</th><th class="n">with it</th></tr>'
    )
    rows = [_score(score, ink) for score in sorted(board.scores, key=lambda score: -score.auroc)]
    mean = Score(
        name="mean of all",
        auroc=board.macro,
        low=board.low,
        high=board.high,
        random_auroc=board.random_macro,
        positives=0,
        records=0,
    )
    missing = ", ".join(escape(spoken(name)) for name in board.not_scored)
    note = (
        f'<p class="small">Not scored, because no test ECG or every one carries it: {missing}.</p>' if missing else ""
    )
    body = "".join([*rows, _score(mean, "var(--ink)")])
    return f'<div class="wide"><table class="board"><thead>{head}</thead><tbody>{body}</tbody></table></div>{note}'


def _score(score: Score, ink: str) -> str:
    random = "" if score.random_auroc is None else f"{score.random_auroc:.2f}"
    support = f"{score.positives}" if score.positives else ""
    return (
        f'<tr><td>{escape(spoken(score.name))}</td><td class="n"><b>{score.auroc:.2f}</b></td>'
        f'<td class="n">{_interval(score)}</td><td>{_whisker(score, ink)}</td>'
        f'<td class="n away quiet">{random}</td><td class="n">{support}</td></tr>'
    )


def _interval(score: Score) -> str:
    """Resamples of one or two patients say nothing of the others."""
    if score.positives < FEWEST_POSITIVES:
        return "too few"
    return f"{score.low:.2f} to {score.high:.2f}"


def _whisker(score: Score, ink: str) -> str:
    """AUROC from 0.2 to 1.0 as a dot with its interval, 0.5 as a line, the random encoder as a ring."""

    def x(value: float) -> float:
        return 4 + 312 * (min(max(value, 0.2), 1.0) - 0.2) / 0.8

    ring = ""
    if score.random_auroc is not None:
        ring = f'<circle cx="{x(score.random_auroc):.1f}" cy="8" r="3" fill="#fff" stroke="#8a8a95"/>'
    interval = ""
    if score.positives >= FEWEST_POSITIVES:
        interval = f'<path d="M{x(score.low):.1f} 8H{x(score.high):.1f}" style="stroke:{ink}" stroke-width="2"/>'
    return (
        '<svg width="320" height="16" viewBox="0 0 320 16" role="img">'
        f'<path d="M{x(0.5):.1f} 0v16" stroke="#c9c9d2" stroke-dasharray="2 2"/>'
        f"{interval}{ring}"
        f'<circle cx="{x(score.auroc):.1f}" cy="8" r="4" style="fill:{ink}"/></svg>'
    )


def _rebuilt(found: Rebuilding) -> Iterator[str]:
    def said(value: float | None, unit: str) -> str:
        return "not measured" if value is None else f"{value:.3g} {unit}".strip()

    yield (
        "<h2>Through a latent and back</h2>"
        "<p>The generator will work on latents: 4 x 128 numbers for 10 seconds of twelve leads. An autoencoder makes "
        "them and turns them back; a second decoder writes one beat from the same latent. This one learnt for "
        f"{found.steps:,} steps from {found.records:,} drawn ECGs; on drawn ECGs of other patients it is off, in the "
        f"median, by {said(found.mae_mv, 'mV')} (mean absolute error; correlation {said(found.correlation, '')}), "
        f"{said(found.heart_rate_error_bpm, 'bpm')} of heart rate and {said(found.qt_error_ms, 'ms')} of QT.</p>"
    )
    for picture in found.pictures:
        yield f'<figure><div class="wide">{picture}</div></figure>'


def _written(writing: Writing) -> Iterator[str]:
    if writing.error_bpm is None:
        rates = f"A heart rate was asked for {writing.asked} of them and could be measured on none."
    else:
        rates = (
            f"A heart rate was asked for {writing.asked} of them; on {writing.measured} of those one could be "
            f"measured, off by {writing.error_bpm:.0f} bpm in the median."
        )
    yield (
        "<h2>ECGs written from text</h2>"
        "<p>The other half of ecgray (SE-Diff) goes the other way: a text, and perhaps age, sex and heart rate, become "
        "a latent by diffusion, and the latent an ECG. The generator that comes with the package was trained for "
        f"longer, on drawn and on real ECGs; here it learnt on for {writing.steps:,} steps from {writing.records:,} "
        f"ECGs of this archive ({escape(writing.sampling)}; {writing.seconds_each:.1f} s for each ECG). {rates} Every "
        "one of these is synthetic, and marked so in each of its files.</p>"
    )
    for one in writing.shown:
        asked = f"{one.asked_bpm:.0f} bpm" if one.asked_bpm is not None else "no heart rate"
        measured = f"{one.measured_bpm:.0f} bpm" if one.measured_bpm is not None else "none could be"
        odd = f"<h4>Odd about it</h4><p>{escape(', '.join(one.flags))}</p>" if one.flags else ""
        yield (
            f'<figure><div class="wide">{one.svg}</div><figcaption><div><h4>Asked for</h4>'
            f"<blockquote>{escape(one.prompt)}</blockquote>{odd}</div>"
            f"<div><h4>Asked</h4><p>{asked}</p><h4>Measured on it</h4><p>{measured}</p></div></figcaption></figure>"
        )


def _steps(story: Story) -> Iterator[str]:
    yield (
        "<h2>What was done</h2><p>Each step is a job of its own; the command below it does the same alone, on two "
        "cores or on a Ray cluster.</p>"
    )
    steps = [
        f'<li><span class="took">{duration(step.seconds)}</span><b>{escape(step.meaning)}</b>'
        f"<pre>$ {escape(step.command)}</pre>{escape(step.outcome)}</li>"
        for step in story.steps
    ]
    yield f'<ol class="steps">{"".join(steps)}</ol>'


def _curves(story: Story) -> Iterator[str]:
    yield '<h2>How it learned</h2><div class="curves">'
    for curve in story.curves:
        if curve.points:
            yield f"<div><h3>{escape(curve.name)}</h3>{_chart(curve.points)}</div>"
    yield "</div>"


def _chart(points: Sequence[tuple[float, float]]) -> str:
    """A line over steps with its first, last and extreme values written."""
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    reach, room = max(max(steps), 1), (high - low) or 1.0
    places = [(40 + 340 * s / reach, 150 - 130 * (v - low) / room) for s, v in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    label = '<text font-size="11" fill="#5b5b66" '
    return (
        '<svg viewBox="0 0 400 180" role="img" font-family="system-ui, sans-serif">'
        '<path d="M40 15V152H385" fill="none" stroke="#c9c9d2"/>'
        f'<polyline points="{line}" fill="none" stroke="#2f6f9f" stroke-width="1.6" stroke-linejoin="round"/>'
        f'{label}x="34" y="24" text-anchor="end">{high:.2f}</text>'
        f'{label}x="34" y="154" text-anchor="end">{low:.2f}</text>'
        f'{label}x="40" y="170">0</text>{label}x="380" y="170" text-anchor="end">step {reach:.0f}</text></svg>'
    )


def _quarantine(story: Story) -> Iterator[str]:
    yield (
        "<h2>What could not be read</h2><p>The archive holds a few damaged recordings, planted on purpose. One bad "
        "record never stops a job and is never lost: it goes to the quarantine table, with a code and one sentence.</p>"
    )
    rows = "".join(
        f"<tr><td><code>{escape(one.path)}</code></td><td><code>{escape(one.code)}</code></td>"
        f"<td>{escape(one.message)}</td></tr>"
        for one in story.refused
    )
    yield (
        '<div class="wide"><table class="board"><thead><tr><th>recording</th><th>code</th><th>why</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _limits(story: Story) -> str:
    return (
        "<h2>What this is not</h2><ul>"
        "<li><b>Not evidence about patients.</b> Training and test ECGs come from the same simulator, whose conditions "
        "are cleaner and more alike than any ward's. Expect much less on real recordings.</li>"
        "<li><b>Not a medical device.</b> Research use only; no answer here may guide the care of anybody.</li>"
        "<li><b>Not calibrated.</b> A probability orders ECGs; 0.3 does not mean three in ten.</li>"
        "<li><b>Not MedCPT.</b> The embedded text encoder knows words, spellings and a list of synonyms, not meaning: "
        "an unseen condition is understood only as far as its words were seen in others.</li>"
        f"<li><b>Small.</b> {story.parameters:,} parameters, trained in minutes; the recipe <code>paper</code> is for "
        "GPUs and 800,000 recordings.</li></ul>"
    )


def _settings(story: Story) -> str:
    return (
        f'<details><summary class="small quiet">ecgray {escape(story.version)}: the settings of this run</summary>'
        f"<pre>{escape(story.settings)}</pre></details>"
    )
