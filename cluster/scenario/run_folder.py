"""What a command leaves of its runs: a folder that can be read, replayed, put into a CI system or opened in a browser.

    runs/leader-crash-acks-all/20260102-030405-1/
        report.html  junit.xml                              all variants that were run
        scenario.yaml  events.jsonl  operations.jsonl  result.json      of one run; with several, in a folder each

Here: files and their names. Not here: what is in them (`cluster.report`, `cluster.checks`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from cluster.base.trace import Traced
from cluster.checks import setting_to_json
from cluster.checks.history import history_of, to_lines
from cluster.report import RunPage, RunResult, boil_down, junit_xml, render_page
from cluster.scenario.contracts import setting_of
from cluster.scenario.document import Document
from cluster.scenario.plan import Plan
from cluster.scenario.runner import Run

REPORT = "report.html"


class RunFolder:
    """Takes runs as they end; `finish` writes what is about all of them. Raises OSError when it cannot write."""

    def __init__(self, place: Path, *, has_variants: bool) -> None:
        self.place = place
        self._has_variants = has_variants
        self._pages: list[RunPage] = []
        self._results: list[RunResult] = []
        self._resolved: Document = {}

    @property
    def report(self) -> Path:
        """Where the page is, once finished."""
        return self.place / REPORT

    def add(self, plan: Plan, done: Run) -> None:
        """Keep one run."""
        result = done.result
        place = self.place / (result.variant or result.scenario) if self._has_variants else self.place
        place.mkdir(parents=True, exist_ok=True)
        resolved = resolved_document(plan, result.seed)
        (place / "scenario.yaml").write_text(_yaml(resolved), encoding="utf-8")
        (place / "result.json").write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
        _write_events(place / "events.jsonl", done.trace)
        with (place / "operations.jsonl").open("w", encoding="utf-8") as operations:
            operations.write(json.dumps(setting_to_json(setting_of(plan))) + "\n")
            operations.writelines(f"{line}\n" for line in to_lines(history_of(done.trace)))
        self._results.append(result)
        self._pages.append(boil_down(result, resolved, done.trace))
        self._resolved = self._resolved or resolved

    def finish(self) -> None:
        """Write the report and the JUnit file of what was added; nothing when nothing was."""
        if not self._pages:
            return
        (self.place / "junit.xml").write_text(junit_xml(self._results), encoding="utf-8")
        self.report.write_text(render_page(self._resolved, self._pages), encoding="utf-8")


def resolved_document(plan: Plan, seed: int) -> Document:
    """Return the one scenario that was run, its variant applied: `fencepost run` on it gives the same run again."""
    document = dict(plan.document)
    document.pop("variants", None)
    expected = {check.id: check.expected for check in plan.checks}
    document["expect"] = [{**check, "verdict": expected[check["id"]]} for check in document.get("expect") or ()]
    document["seed"] = seed
    return document


def _yaml(document: Document) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return text


def _write_events(path: Path, trace: Sequence[Traced]) -> None:
    encode = json.JSONEncoder(separators=(",", ":")).encode
    with path.open("w", encoding="utf-8") as events:
        events.writelines(f"{encode(traced.to_json())}\n" for traced in trace)
