"""The page's writer, and what holds for all of it: keys alone, narrow screens, names, contrast, tokens, patience."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

import pytest
from browser import CHROMIUM, Tab, open_tab, visited
from running_service import running

from ecgray.service.settings import ServiceSettings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH: the page is not driven")

ANSWERED = "document.querySelector('#stamp').textContent && document.querySelector('#measured-rows .tile')"
DRAWN = "!document.querySelector('#checks').hidden && !document.querySelector('#generate').disabled"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    with open_tab() as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab, server: str) -> Iterator[Tab]:
    yield from visited(chromium, server)


def fill(tab: Tab, **fields: object) -> None:
    """Values of the form's fields, by their names."""
    for name, value in fields.items():
        place = f"document.querySelector({json.dumps('#prompt' if name == 'prompt' else f'#w-{name}')})"
        tab.js(
            f"({place}.value = {json.dumps(str(value))}, {place}.dispatchEvent(new Event('input', {{bubbles: true}})))"
        )


def draw(tab: Tab, **fields: object) -> None:
    tab.click("#tab-write")
    fill(tab, **{"steps": 4, "seed": 7} | fields)
    tab.click("#generate")
    tab.until(DRAWN)


# --- from words to an ECG


def test_words_become_a_marked_ecg_that_is_checked(tab):
    draw(tab, prompt="sinus bradycardia <b>, left bundle branch block", heart_rate=48, n=3, age=71, steps=20)
    assert tab.js("document.querySelectorAll('#thumbs .thumb svg path').length") == 3
    assert tab.js("document.querySelectorAll('#write-paper .synthetic text').length") == 5
    checks = tab.text("#checks-rows").replace("\n", " ")
    assert re.search(r"48 asked, \d+ bpm measured \([+\u2212]\d+\)", checks)
    assert "71 years" in checks
    assert re.search(r"III = II \u2212 I exactly; aVR, aVL and aVF within (0|0\.5|1) \u00b5V", checks)
    first = tab.js("document.querySelector('#write-paper path.lead').getAttribute('d')")
    tab.click("#thumbs li:nth-child(2) button")
    assert tab.js("document.querySelector('#write-paper path.lead').getAttribute('d')") != first
    assert "seed 7, index 1" in tab.text("#write-paper .paper-head")
    assert '"seed":7' in tab.text("#write-code pre")


def test_the_address_holds_the_seed_and_not_the_words(tab, server):
    draw(tab, prompt="atrial fibrillation of Zylinderkopf")
    address = tab.js("location.href")
    assert "seed=7" in address
    assert "?" not in address.partition("#")[0]
    assert "atrial" not in address
    tab.open("about:blank")
    tab.open(f"{server}/#write?seed=99&n=2&sex=F&prompt=left%20axis")
    assert tab.js("[document.querySelector('#w-seed').value, document.querySelector('#prompt').value]") == [
        "99",
        "left axis",
    ]
    assert tab.js("document.querySelector('#pane-read').hidden")
    assert not [url for url in tab.requests if "Zylinder" in url or "axis" in url.partition("#")[0]]
    before = tab.js("document.querySelector('#w-seed').value")
    tab.click("#dice")
    assert tab.js("document.querySelector('#w-seed').value") != before


def test_what_is_odd_about_a_prompt_is_said(tab):
    draw(tab, prompt="no atrial fibrillation, sinus bradycardia", heart_rate=120)
    assert "Negation is not understood" in tab.text("#checks-rows")
    assert "heart rate does not fit the text" in tab.text("#checks-rows")
    draw(tab, prompt="ventricular fibrillation", heart_rate=250)
    tab.until("document.querySelector('#checks-rows').textContent.includes('known not to draw')")
    assert "250 asked" in tab.text("#checks-rows")


def test_progress_is_shown_and_drawing_can_be_given_up(tab, backends):
    tab.click("#tab-write")
    fill(tab, prompt="sinus rhythm", n=8, steps=1000)
    tab.click("#generate")
    tab.until("document.querySelector('#progress-text').textContent.match(/^Step [1-9]\\d* of 1000$/)")
    assert 0 < tab.js("document.querySelector('#progress-bar').value") < 1000
    assert tab.js("document.activeElement.id") == "cancel"
    tab.press("Enter")
    tab.until("document.querySelector('#progress').hidden && !document.querySelector('#generate').disabled")
    assert tab.js("document.querySelector('#problem').hidden")
    assert tab.js("document.querySelector('#write-paper .paper').hidden")
    draw(tab, prompt="sinus rhythm", n=1)  # and the service is free again


def test_a_drawn_ecg_is_classified_by_its_own_words(tab):
    draw(tab, prompt="sinus bradycardia, left bundle branch block, 71-year-old man", heart_rate=48, n=2)
    tab.click("#thumbs li:nth-child(2) button")
    path = tab.js("document.querySelector('#write-paper path.lead').getAttribute('d')")
    tab.click("#classify-this")
    tab.until(f"{ANSWERED} && document.querySelectorAll('#bars li').length === 2")
    assert tab.js("document.querySelector('#tab-read').getAttribute('aria-selected')") == "true"
    asked = tab.js("[...document.querySelectorAll('#bars li')].map(each => each.dataset.query)")
    assert sorted(asked) == ["left bundle branch block", "sinus bradycardia"]
    assert tab.js("document.querySelector('#read-paper path.lead').getAttribute('d')") == path
    assert tab.js("document.querySelectorAll('#read-paper .synthetic text').length") == 5
    assert "@synthetic-7-1.zip" in tab.text("#again-code pre")


def test_what_cannot_be_drawn_is_one_sentence(tab):
    tab.click("#tab-write")
    fill(tab, prompt="x\u0001y")
    tab.click("#generate")
    tab.until("!document.querySelector('#problem').hidden")
    assert tab.js("document.activeElement.id") == "problem"
    assert "control characters" in tab.text("#problem")


# --- for everybody


def test_keys_alone_read_ask_explain_and_write(tab):
    tab.focus_by_tab("#samples .chip:nth-of-type(2)")
    tab.press("Enter")
    tab.until(ANSWERED)
    tab.focus_by_tab("#ask-text")
    tab.type("irregular rhythm")
    tab.press("Enter")
    tab.until("document.querySelectorAll('#bars li:not(:has(.query[disabled]))').length === 11")
    tab.focus_by_tab("#bars li:first-child .query")
    tab.press("Enter")
    tab.until("document.querySelector('#read-paper .highlight')")
    assert tab.js("document.activeElement.matches('#bars .query[aria-pressed=true]')")
    tab.js("document.querySelector('#tab-read').focus()")
    tab.press("ArrowRight")
    assert tab.js("document.activeElement.id") == "tab-write"
    tab.focus_by_tab("#prompt")
    tab.type("sinus rhythm")
    fill(tab, steps=4)
    tab.focus_by_tab("#generate")
    tab.press("Enter")
    tab.until(DRAWN)
    tab.js("document.querySelector('#tab-read').focus()")
    assert tab.js("getComputedStyle(document.activeElement).outlineStyle") != "none"


@pytest.mark.parametrize("width", [320, 390, 700, 1024])
def test_nothing_runs_off_a_narrow_screen(tab, width):
    """320 px; and 700 px, which is 1,400 at 200 % zoom."""
    tab.size(width, 700)
    tab.click_text("#samples .chip", "Normal ECG")
    tab.until(ANSWERED)
    tab.click("#bars li:first-child .query")
    tab.until("document.querySelector('#read-paper .highlight')")
    assert tab.js("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.js("document.querySelector('#read-paper .sheet').getBoundingClientRect().width") > 600
    draw(tab, prompt="sinus rhythm", n=2)
    assert tab.js("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    tab.js("scrollTo(0, 400)")
    seen = "(box => box.top >= 0 && box.bottom <= innerHeight)(each.getBoundingClientRect())"
    assert tab.js(f"[...document.querySelectorAll('.research, .foot')].some(each => {seen})"), "it is always in sight"


NAMED = {"button", "textbox", "combobox", "slider", "radio", "link", "image", "tab", "spinbutton", "figure", "dialog"}


def test_every_control_has_a_name(tab):
    tab.click_text("#samples .chip", "Normal ECG")
    tab.until(ANSWERED)
    tab.click_text("#read-paper button", "Calipers")
    tab.send("Accessibility.enable")
    nameless = []
    for pane in ("#tab-read", "#tab-write"):
        tab.click(pane)
        for node in tab.send("Accessibility.getFullAXTree")["nodes"]:
            kind, name = (node.get(what, {}).get("value", "") for what in ("role", "name"))
            if kind in NAMED and not node["ignored"] and not name.strip():
                nameless.append(node)
    tab.send("Accessibility.disable")
    assert nameless == []


CONTRAST = """(() => {
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgb(getComputedStyle(each).backgroundColor);
      if (color.length === 3 || color[3] > 0.9) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const words = walk.currentNode.textContent.trim().slice(0, 40);
    if (!words || !element.checkVisibility() || element.closest('svg, [disabled], .unseen')) continue;
    const [one, other] = [light(rgb(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) found.push([words, element.className]);
  }
  return found;
})()"""


def test_every_word_stands_out_from_its_ground(tab):
    """WCAG AA: 4.5 to 1."""
    assert tab.js(CONTRAST) == []
    tab.click_text("#samples .chip", "Atrial fibrillation")
    tab.until(ANSWERED)
    tab.click("#bars li:first-child .query")
    tab.until("document.querySelector('#read-paper .highlight')")
    assert tab.js(CONTRAST) == []
    draw(tab, prompt="no atrial fibrillation", n=2)
    assert tab.js(CONTRAST) == []


def test_a_cards_text_is_shown_and_put_away(tab):
    tab.click("#models button")
    tab.until("document.querySelector('#model-card').open")
    assert len(tab.text("#model-card-text")) > 200
    tab.press("Escape")
    tab.until("!document.querySelector('#model-card').open")


# --- a service that asks for a token, and one that is busy


def test_a_token_is_asked_for_kept_in_the_tab_and_sent(chromium, backends):
    token = "correct-horse-battery"
    settings = ServiceSettings(token_sha256=hashlib.sha256(token.encode()).hexdigest())
    with running(backends, settings) as address:
        chromium.size(1400, 1000)
        chromium.complaints.clear()
        chromium.open(f"{address}/")
        chromium.until("!document.querySelector('#token').hidden")
        for typed in ("a-wrong-token-is-this", token):
            chromium.until("document.activeElement.id === 'token-text'")
            chromium.type(typed)
            chromium.press("Enter")
            if typed != token:
                chromium.until("document.querySelector('#token label').textContent.includes('not the token')")
        chromium.until("document.querySelector('#samples .chip')")
        chromium.click_text("#samples .chip", "Normal ECG")
        chromium.until(ANSWERED)
        assert "$ECGRAY_TOKEN" in chromium.text("#again-code pre")
        kept = chromium.js("[JSON.stringify(sessionStorage), localStorage.length, document.cookie]")
        assert kept == [json.dumps({"ecgray-token": token}, separators=(",", ":")), 0, ""]
        assert not [url for url in chromium.requests if token in url]
        assert chromium.complaints == []
        chromium.js("sessionStorage.clear()")


def test_a_busy_service_is_asked_once_more(tab):
    problem = {"status": 429, "code": "overloaded", "detail": "The service has as many recordings as it takes."}
    how = "{status: 429, headers: {'Retry-After': '1'}}"
    once = f"!window.asked++ ? new Response({json.dumps(json.dumps(problem))}, {how}) : real(url, how)"
    asked = f"async (url, how) => String(url).includes('classify') ? ({once}) : real(url, how)"
    tab.js(f"(real => {{ window.asked = 0; window.fetch = {asked}; }})(window.fetch)")
    tab.click_text("#samples .chip", "Normal ECG")
    tab.until("document.querySelector('#problem').textContent.includes('asked once more in 1 s')")
    tab.until(ANSWERED)
    assert tab.js("document.querySelector('#problem').hidden")
