"""The report in a real browser: on a wide and on a narrow screen, in light and in dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from reported_runs import reported_runs

from cluster.scenario import RunFolder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)")

# The colours behind and of every piece of text, as WCAG 2.2 compares them (success criterion 1.4.3).
FAINT_TEXT = """() => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const brush = canvas.getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    brush.clearRect(0, 0, 1, 1); brush.fillStyle = color; brush.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (c) => {
    const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join("");
    const style = getComputedStyle(element);
    if (!text || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    let below = [255, 255, 255];
    for (const layer of layers) below = over(layer, below);
    const ink = over(rgba(style.color), below);
    const [light, dark] = [luminance(ink), luminance(below)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), bold = parseInt(style.fontWeight) >= 700;
    const wanted = size >= 24 || (bold && size >= 18.66) ? 3 : 4.5;
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < wanted) found.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""

# What sticks out of the window to the right, ignoring what its own container clips on purpose.
OVERHANGING = """() => [...document.querySelectorAll("main *, header *")]
  .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .filter(e => !e.closest(".log, .plot, .track"))
  .map(e => `${e.tagName}.${e.className.baseVal ?? e.className} ${e.textContent.trim().slice(0, 30)}`)"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = RunFolder(tmp_path_factory.mktemp("seen") / "run", has_variants=True)
    for plan, run in reported_runs():
        kept.add(plan, run)
    kept.finish()
    return kept.report


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[Browser]:
    """Started after the report was made: Playwright runs a loop of its own here, beside which no simulation runs."""
    with sync_playwright() as playwright:
        # The page is our own, and root, as which CI runs, has no sandbox.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=[(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")], ids=lambda p: f"{p[0]}-{p[1]}")
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    asked: list[str] = []
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.goto(report.as_uri())
    yield opened
    assert said == [], "nothing is complained of"
    assert asked == [report.as_uri()], "nothing is loaded from elsewhere"
    opened.close()


def test_everything_is_there_and_fits(page: Page) -> None:
    assert page.title() == "short-crash · Fencepost", "a script in a user's text did not run"
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(OVERHANGING) == []
    for name in ("Verdicts", "as written", "acks-1"):
        assert page.get_by_role("link", name=name, exact=True).first.is_visible()
    for part in (
        ".verdicts",
        ".anomalies",
        ".story",
        ".lab",
        ".plot.tall",
        ".plot.short",
        ".moments",
        ".cut",
        ".lamport svg",
    ):
        assert page.locator(part).first.is_visible(), part
        box = page.locator(part).first.bounding_box()
        assert box is not None and box["width"] > 8 and box["height"] > 8, part


def test_text_can_be_read(page: Page) -> None:
    assert page.evaluate(FAINT_TEXT) == []
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && e.innerText)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 11, "pixels"


def test_a_verdict_is_said_in_words_and_a_drawing_has_a_name(page: Page) -> None:
    told = page.locator(".verdicts").inner_text()
    assert "violated" in told and "holds" in told and "as expected" in told
    nameless = page.evaluate("[...document.querySelectorAll('[role=img]')].filter(e => !e.ariaLabel).length")
    assert nameless == 0
    unseen = page.evaluate(
        "[...document.querySelectorAll('svg')].filter(e => !e.closest('[aria-hidden],[role=img]')).length"
    )
    assert unseen == 0


def test_arrows_go_down_and_rows_stand_beside_their_dots(page: Page) -> None:
    misplaced = page.evaluate(
        """() => [...document.querySelectorAll(".lamport")].flatMap(figure => {
          const dots = [...figure.querySelectorAll("circle")].map(e => e.getBoundingClientRect());
          const rows = [...figure.querySelectorAll("li.event:not(.lab)")].map(e => e.getBoundingClientRect());
          if (dots.length !== rows.length) return ["as many dots as rows"];
          return dots.filter((dot, i) => Math.abs((dot.top + dot.bottom) - (rows[i].top + rows[i].bottom)) > 4);
        })"""
    )
    assert misplaced == []


def test_the_checks_of_this_file_can_fail(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 400})
    page.set_content(
        "<body><main><p style='color:#bbb;background:#fff'>faint</p><p style='width:900px'>wide</p></main>"
    )
    assert page.evaluate(FAINT_TEXT) != []
    assert page.evaluate(OVERHANGING) != []
    page.close()
