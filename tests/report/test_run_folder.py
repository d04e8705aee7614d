"""What a command leaves of its runs, read as whoever comes later would read it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from reported_runs import HOSTILE, reported_runs

from cluster.base.trace import Traced
from cluster.checks.history import HistoryReader, check_history
from cluster.report import CheckResult, RunResult, junit_xml, verdict_of
from cluster.scenario import RunFolder, make_plan, read_document, run_in_simulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = RunFolder(tmp_path_factory.mktemp("runs") / "one", has_variants=True)
    for plan, run in reported_runs():
        kept.add(plan, run)
    kept.finish()
    return kept.place


def test_the_kept_scenario_gives_the_same_run_again(folder: Path) -> None:
    plan = make_plan(read_document((folder / "acks-1" / "scenario.yaml").read_text()))
    kept = json.loads((folder / "acks-1" / "result.json").read_text())
    again = run_in_simulation(plan, plan.scenario.seed, "")
    assert again.result.trace_hash == kept["trace_hash"]
    assert [check.expected for check in plan.checks] == ["violated", "holds"], "the variant's verdicts are its own now"


def test_the_kept_events_are_the_trace(folder: Path) -> None:
    rows = (folder / "acks-1" / "events.jsonl").read_text().splitlines()
    _, run = reported_runs()[1]
    assert [Traced.from_json(json.loads(row)) for row in rows] == list(run.trace)


def test_the_kept_operations_are_a_history_that_can_be_judged(folder: Path) -> None:
    with (folder / "acks-1" / "operations.jsonl").open() as lines:
        reader = HistoryReader()
        report = check_history(reader.read(lines))
    _, run = reported_runs()[1]
    assert run.result.lost > 0
    assert report.findings.counts["unseen"] == run.result.lost
    assert reader.setting is not None and reader.setting["clients"]["p1"]["acks"] == "1", "it says what it was promised"


def test_the_junit_file_counts_what_differs_and_what_is_unknown(folder: Path) -> None:
    root = ElementTree.parse(folder / "junit.xml").getroot()
    assert [suite.get("failures") for suite in root] == ["0", "0"]
    checks = tuple(
        CheckResult(f"c{number}", "always", "a < b \x00", outcome, expected)
        for number, (outcome, expected) in enumerate(
            [("holds", "holds"), ("holds", "violated"), ("unknown", "holds"), ("violated", "any")]
        )
    )
    result = RunResult("s", None, "sim", 1, verdict_of(checks), checks, *(0,) * 7, 0.0, "", "fencepost run s")
    suite = ElementTree.fromstring(junit_xml([result]).partition("\n")[2])[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "1")
    assert [[child.tag for child in case] for case in suite.findall("testcase")] == [[], ["failure"], ["skipped"], []]


def test_one_variant_needs_no_folder_of_its_own(tmp_path: Path) -> None:
    plan, run = reported_runs()[1]
    kept = RunFolder(tmp_path / "deep" / "one", has_variants=False)
    kept.add(plan, run)
    kept.finish()
    names = {path.name for path in kept.place.iterdir()}
    assert names >= {"report.html", "junit.xml", "scenario.yaml", "events.jsonl", "operations.jsonl", "result.json"}


def test_a_folder_that_took_nothing_is_not_made(tmp_path: Path) -> None:
    RunFolder(tmp_path / "none", has_variants=False).finish()
    assert not (tmp_path / "none").exists()


def test_the_page_is_one_small_file_in_which_text_stays_text(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert len(page) < 2_000_000
    assert HOSTILE not in page and HOSTILE.replace('"', "'") not in page
    assert "the &lt;b&gt;leader&lt;/b&gt; dies" in page
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in page, "it works offline"


def test_keeping_a_minute_of_three_thousand_records_takes_about_a_second(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "scenarios" / "leader-crash-acks-all.yaml").read_text()
    plan = make_plan(read_document(text), "acks-1")
    run = run_in_simulation(plan, 1, "")
    began_s = time.process_time()
    kept = RunFolder(tmp_path, has_variants=False)
    kept.add(plan, run)
    kept.finish()
    assert time.process_time() - began_s < 3.0, "measured at 0.6 s; the rest is for slow machines"
    assert kept.report.stat().st_size < 2_000_000
