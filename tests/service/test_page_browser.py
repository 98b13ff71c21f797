"""The page's reader, driven in headless Chromium against the real app and the models that ship."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Tab, open_tab, visited
from uploads import npy_bytes

from ecgray.leads import LEADS
from ecgray.uploads.read import read_upload
from ecgray.uploads.settings import UploadSettings
from ecgray.waveform.write import write_recording

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH: the page is not driven")

ANSWERED = "document.querySelector('#stamp').textContent && document.querySelector('#measured-rows .tile') "
ANSWERED += "&& [...document.querySelectorAll('#bars .value')].every(each => each.textContent !== '\\u2013')"
SCALE = "document.querySelector('#read-paper .sheet').getBoundingClientRect().width / 260"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    with open_tab() as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab, server: str) -> Iterator[Tab]:
    yield from visited(chromium, server)


def take_sample(tab: Tab, title: str = "Atrial fibrillation") -> None:
    tab.click_text("#samples .chip", title)
    tab.until(f"document.querySelector('#read-paper .paper-head strong')?.textContent === {json.dumps(title)}")
    tab.until(ANSWERED)


def answers(tab: Tab) -> dict[str, str]:
    row = "[row.dataset.query, row.querySelector('.value').textContent]"
    return dict(tab.js(f"[...document.querySelectorAll('#bars li')].map(row => {row})"))


def write_record(folder: Path, name: str, counts: np.ndarray, leads: tuple[str, ...] = LEADS) -> list[Path]:
    write_recording(folder, name, counts, leads=leads)
    return [folder / f"{name}.hea", folder / f"{name}.dat"]


# --- from a recording to answers


def test_a_sample_is_shown_measured_and_answered(tab):
    """Quality stands before any probability, in the document and on the screen."""
    take_sample(tab)
    assert tab.js("document.querySelectorAll('#read-paper path.lead').length") == 13
    assert "SYNTHETIC" in tab.js("document.querySelector('#read-paper svg.trace').textContent")
    assert "Nothing seen" in tab.text("#quality")
    before = "document.querySelector('#quality').compareDocumentPosition(document.querySelector('#bars'))"
    assert tab.js(before) == 4
    assert tab.js("document.querySelector('#quality').getBoundingClientRect().top") < tab.centre("#bars")[1]
    assert re.search(r"Heart rate\s+\d+ bpm", tab.text("#measured"))
    assert "no P wave" in tab.text("#measured")
    values = [float(value.strip("<>")) for value in answers(tab).values()]
    assert values == sorted(values, reverse=True)
    assert next(iter(answers(tab))) == "atrial fibrillation"
    assert "Uncalibrated" in tab.text(".answers")
    assert "500 Hz" in tab.text("#input")
    assert "Research use only" in tab.text(".research")


def test_what_is_drawn_is_the_recording(tab, client):
    """Line by line of the picture: 25 mm a second, 10 mm a millivolt, around each lead's median."""
    take_sample(tab, "Left bundle branch block")
    counts = read_upload(client.get("/v1/samples/left-bundle-branch-block").content, UploadSettings()).counts
    path = tab.js("document.querySelector('#read-paper path[data-lead=V2]').getAttribute('d')")
    points = np.array(re.findall(r"([\d.-]+) ([\d.-]+)", path), float)
    baseline = float(
        re.search(r"M0 (\d+)", tab.js("document.querySelectorAll('#read-paper .pulse')[1].getAttribute('d')"))[1]
    )
    times = (points[:, 0] - 10) / 25
    assert (times[0], times[-1]) == (5.0, 7.5)
    wanted = (counts[7] - np.median(counts[7])) / 1000
    drawn = (baseline - points[:, 1]) / 10
    assert np.abs(drawn - np.interp(times, np.arange(5000) / 500, wanted)).max() < 0.005


def test_a_question_in_free_words_is_answered_and_taken_away(tab):
    take_sample(tab)
    tab.click("#ask-text")
    tab.type("<img src=x onerror=alert(1)> irregularly irregular rhythm")
    tab.press("Enter")
    tab.until(f"document.querySelectorAll('#bars li').length === 11 && {ANSWERED}")
    asked = [query for query in answers(tab) if "irregularly" in query]
    assert asked == ["<img src=x onerror=alert(1)> irregularly irregular rhythm"]
    assert tab.js("document.querySelectorAll('img').length") == 0
    tab.js("document.querySelector('[aria-label^=\"Remove <img\"]').click()")
    assert len(answers(tab)) == 10
    tab.js("(document.querySelector('#lists').value = 'ptbxl-super')")
    tab.js("document.querySelector('#lists').dispatchEvent(new Event('change'))")
    tab.until(f"document.querySelectorAll('#bars li').length > 11 && {ANSWERED}")
    tab.click("#clear")
    assert answers(tab) == {}


def test_the_threshold_moves_by_keys(tab):
    take_sample(tab)
    tab.js("document.querySelector('#threshold').focus()")
    tab.press("ArrowRight", times=3)
    assert tab.text("#threshold-text").startswith("0.53")
    tab.press("ArrowLeft", times=53)
    assert tab.text("#threshold-text") == "0.00 \u00b7 10 of 10 at or above"
    assert tab.js("document.querySelectorAll('#bars li.over').length") == 10


def test_gain_speed_and_layout_change_the_paper_at_once(tab):
    take_sample(tab)
    size = "document.querySelector('#read-paper svg.trace').getAttribute('viewBox')"
    pulse = "document.querySelector('#read-paper .pulse').getAttribute('d')"
    assert (tab.js(size), tab.js(pulse)) == ("0 0 260 150", "M0 25H2.5V15H7.5V25H10")
    tab.click_text("#read-paper .choice span", "20 mm/mV")
    assert tab.js(pulse) == "M0 25H2.5V5H7.5V25H10"
    scale = tab.js(SCALE)
    tab.click_text("#read-paper .choice span", "50 mm/s")
    assert (tab.js(size), tab.js(pulse)) == ("0 0 515 150", "M0 25H2.5V5H12.5V25H15")
    assert tab.js(SCALE) * 260 / 515 == pytest.approx(scale, rel=1e-3)  # a millimetre stays as large as it was
    tab.click_text("#read-paper .choice span", "12\u00d71")
    assert tab.js("document.querySelectorAll('#read-paper path.lead').length") == 12
    tab.click_text("#read-paper .choice span", "25")
    tab.click("#read-paper .zoom")
    assert tab.js(SCALE) == pytest.approx(96 / 25.4, rel=1e-3)
    assert "true size" in tab.text("#read-paper .paper-foot")
    described = tab.js("document.querySelector('#read-paper svg.trace desc').textContent")
    assert "layout 12x1, 25 mm/s, 20 mm/mV" in described
    assert "Heart rate" in described


def test_calipers_measure_by_mouse_and_by_keys(tab):
    take_sample(tab)
    tab.click_text("#read-paper button", "Calipers")
    scale = tab.js(SCALE)
    x, y = tab.centre("#read-paper .sheet")
    tab.drag([(x, y), (x + 5, y), (x + 20 * scale, y - 5 * scale)])
    found = re.fullmatch(r"(\d+) ms, (\d+) bpm, \+([\d.]+) mV", tab.text("#read-paper .measure"))
    assert abs(int(found[1]) - 800) <= 12
    assert abs(int(found[2]) - 75) <= 1
    assert abs(float(found[3]) - 0.5) < 0.04
    tab.press("ArrowRight", times=3)
    assert int(tab.text("#read-paper .measure").split()[0]) == pytest.approx(int(found[1]) + 6, abs=1)
    tab.press("ArrowUp", shift=True)
    assert float(re.search(r"\+([\d.]+) mV", tab.text("#read-paper .measure"))[1]) == pytest.approx(
        float(found[3]) + 0.2, abs=0.011
    )
    tab.click_text("#read-paper button", "March out")
    assert tab.js("document.querySelector('.calipers .march').getAttribute('d').split('M').length") > 8
    before = tab.text("#read-paper .measure")
    tab.click_text("#read-paper .choice span", "50 mm/s")
    assert tab.text("#read-paper .measure") == before


def test_an_answer_shows_where_it_comes_from(tab):
    take_sample(tab, "Left bundle branch block")
    tab.click("#bars li:first-child .query")
    tab.until("document.querySelector('#read-paper .highlight rect')")
    legend = tab.text("#read-paper .legend")
    assert re.search(
        r"\u201cleft bundle branch block\u201d comes from: +for, +against\. .*ost in .* s\.", legend.replace("\n", " ")
    )
    assert "12\u00d71 shows all" in legend
    tab.click_text("#read-paper .choice span", "12\u00d71")
    assert "12\u00d71 shows all" not in tab.text("#read-paper .legend")
    assert tab.js("document.querySelector('#bars [aria-pressed=true] .name').textContent") == "left bundle branch block"
    tab.click("#bars li:first-child .query")
    assert tab.js("document.querySelector('#read-paper .highlight') === null")


def test_the_paper_is_zoomed_and_pulled_about(tab):
    take_sample(tab)
    fitted = tab.js(SCALE)
    tab.click_text("#read-paper .zooms button", "+")
    assert tab.js(SCALE) > fitted
    for _ in range(4):
        tab.click_text("#read-paper .zooms button", "+")
    left = "document.querySelector('#read-paper .viewport').scrollLeft"
    before = tab.js(left)
    x, y = tab.centre("#read-paper .viewport")
    tab.drag([(x, y), (x + 40, y), (x + 100, y)])
    assert tab.js(left) == pytest.approx(before - 100, abs=2)
    tab.js("document.querySelector('#read-paper .viewport').focus()")
    tab.press("0")
    assert tab.js(SCALE) == pytest.approx(fitted)


def test_a_question_that_names_no_finding_says_so(tab):
    take_sample(tab)
    tab.click("#ask-text")
    tab.type("banana split")
    tab.press("Enter")
    tab.until("document.querySelector('[data-query=\"banana split\"] .doubt') !== null")
    assert "no finding" in tab.js("document.querySelector('[data-query=\"banana split\"] .doubt').textContent")
    assert tab.js("document.querySelector('[data-query=\"atrial fibrillation\"] .doubt') === null")


# --- files


def test_files_are_dropped_anywhere(tab, tmp_path, records):
    tab.drop_files(700, 500, write_record(tmp_path, "dropped", records[2]))
    tab.until(ANSWERED)
    assert tab.text("#read-paper .paper-head strong") == "dropped"
    assert tab.js("document.querySelector('#dropping').hidden")


def test_a_folder_that_is_dropped_is_named(tab, tmp_path):
    (tmp_path / "ward").mkdir()
    tab.drop_files(700, 500, [tmp_path / "ward"])
    tab.until("!document.querySelector('#problem').hidden")
    assert "ward cannot be opened" in tab.text("#problem")


def test_a_header_and_its_signals_are_read_together(tab, tmp_path, records):
    tab.choose_files("#files", write_record(tmp_path, "mine", records[1]))
    tab.until(ANSWERED)
    assert tab.text("#read-paper .paper-head strong") == "mine"
    assert "SYNTHETIC" not in tab.js("document.querySelector('#read-paper svg.trace').textContent")
    assert "zip -q - mine.hea mine.dat |" in tab.text("#again-code pre")
    tab.choose_files("#files", [tmp_path / "mine.dat"])
    tab.until("!document.querySelector('#problem').hidden")
    assert "no header" in tab.text("#problem")


def test_a_damaged_file_shows_its_sentence_and_takes_the_focus(tab, tmp_path, records):
    header, signals = write_record(tmp_path, "cut", records[1])
    signals.write_bytes(signals.read_bytes()[:-7])
    tab.choose_files("#files", [header, signals])
    tab.until("!document.querySelector('#problem').hidden")
    assert re.match(r"cut: [A-Z][^{}]+[.?]\s+Close$", tab.text("#problem"))
    assert tab.js("document.activeElement.id") == "problem"
    assert tab.js("document.querySelector('#problem').getAttribute('role')") == "alert"


def test_a_recording_without_a_lead_can_be_read_all_the_same(tab, tmp_path, records):
    kept = [lead for lead in range(12) if lead not in (2, 8)]
    tab.choose_files("#files", write_record(tmp_path, "few", records[1][kept], tuple(LEADS[lead] for lead in kept)))
    tab.until("!document.querySelector('#problem').hidden")
    assert "V3" in tab.text("#problem")
    tab.click_text("#problem button", "Read it without them")
    tab.until(ANSWERED)
    assert "with doubt" in tab.text("#quality")
    assert "Missing: V3" in tab.text("#quality")
    assert "III from I and II" in tab.text("#input")
    assert "allow_missing_leads=true" in tab.text("#again-code pre")


def test_an_array_asks_for_what_it_does_not_say(tab, tmp_path, records):
    (tmp_path / "a.npy").write_bytes(npy_bytes(records[1][:, ::2].T.astype(np.int16)))
    assert tab.js("document.querySelector('#settings').hidden")
    tab.choose_files("#files", [tmp_path / "a.npy"])
    tab.until("!document.querySelector('#settings').hidden")
    assert tab.js("document.activeElement.id") == "settings-fs"
    tab.js(
        "(document.querySelector('#settings-fs').value = '250', document.querySelector('#settings-unit').value = 'uV')"
    )
    tab.press("Enter")
    tab.until(ANSWERED)
    assert "250 Hz, resampled to 500 Hz" in tab.text("#input")
    assert tab.js("document.querySelector('#settings').hidden")
    assert "fs=250&unit=uV&leads=I%2CII" in tab.text("#again-code pre")


def test_several_recordings_make_a_table(tab, tmp_path, records):
    paths = [path for number in range(3) for path in write_record(tmp_path, f"r{number}", records[number])]
    (tmp_path / "=bad.csv").write_bytes(b"I,II\n1,2\n")
    tab.save_into(tmp_path)
    tab.choose_files("#files", [*paths, tmp_path / "=bad.csv"])
    tab.until(f"document.querySelectorAll('#batch tbody tr').length === 4 && {ANSWERED}")
    tab.until("document.querySelectorAll('#batch tbody tr:not(:has(.bad)) td:last-child:empty').length === 0")
    assert re.search(r"=bad.csv\s+[A-Z].*\.", tab.text("#batch"))
    tab.click_text("#batch .link", "r2")
    tab.until("document.querySelector('#read-paper .paper-head strong').textContent === 'r2'")
    tab.click_text("#batch button", "Download CSV")
    lines = saved(tmp_path / "ecgray-batch.csv").decode().splitlines()
    assert lines[0].startswith("recording,quality_ok,flags,heart_rate_bpm")
    assert len(lines) == 5
    assert lines[4].startswith("'=bad.csv,")


def saved(path: Path) -> bytes:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} was not saved"
        time.sleep(0.05)
    return path.read_bytes()


SAVED = {
    "zip": "WFDB (.hea + .dat)",
    "csv": "CSV, in mV",
    "npy": "NumPy (.npy)",
    "svg": "SVG, on paper",
    "png": "PNG, on paper",
    "json": "JSON of the answer",
}


def test_files_are_saved_as_they_are_shown(tab, tmp_path, client):
    take_sample(tab, "Sinus bradycardia")
    counts = read_upload(client.get("/v1/samples/sinus-bradycardia").content, UploadSettings()).counts
    tab.save_into(tmp_path)
    name = "Sinus-bradycardia"
    found = {}
    for ending, label in SAVED.items():
        tab.click("#read-paper .menu summary")
        tab.click_text("#read-paper .menu button", label)
        found[ending] = saved(tmp_path / f"{name}.{ending}")
    recording = read_upload(found["zip"], UploadSettings())
    assert (recording.counts == counts).all()
    assert recording.comments[0].startswith("synthetic: generated by ecgray; not a recording of a patient")
    assert (np.load(tmp_path / f"{name}.npy") == counts).all()
    assert found["csv"].startswith(b"time_s,I (mV),II (mV)")
    assert ET.fromstring(found["svg"]).get("width") == "270mm"
    assert found["png"][:4] == b"\x89PNG"
    assert len(json.loads(found["json"])["classified"]["results"]) == 10


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_lines_to_copy_give_the_same_answers(tab, tmp_path, server, records, language):
    tab.choose_files("#files", write_record(tmp_path, "mine", records[3]))
    tab.until(ANSWERED)
    tab.click_text("#again-code .choice span", language)
    lines = tab.js("document.querySelector('#again-code pre').textContent")
    shown = answers(tab)
    if language == "Python":
        done = subprocess.run([sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True)
        found = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines()[1:])
    else:
        done = subprocess.run(["sh", "-c", lines], cwd=tmp_path, capture_output=True, text=True)
        if done.returncode == 127:
            pytest.skip("zip or curl is not installed")
        found = {one["query"]: one["probability"] for one in json.loads(done.stdout)["results"]}
    assert found.keys() == shown.keys()
    assert all(abs(float(found[query]) - float(value.strip("<>"))) < 0.011 for query, value in shown.items())
