"""The file that a found failure leaves: the shrunk scenario, its seed, and how it failed.

Here: its text, and reading the failure back from it or from the folder of a run. Not here: running it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from cluster.scenario.document import Document
from cluster.scenario.schema import Scenario
from cluster.scenario.trial import Failure, Trial


def found_text(document: Document, trial: Trial, remark: str) -> str:
    """Return the YAML of a document whose trial failed; `remark` is a comment for who opens the file."""
    assert trial.failure is not None
    found: dict[str, Any] = {}
    if trial.failure.error:
        found["error"] = trial.failure.error
    else:
        found["checks"] = list(trial.failure.checks)
    if trial.trace_hash:
        found["trace-hash"] = trial.trace_hash
    ordered: Document = {"lab": document["lab"], "name": document["name"]}
    ordered |= {"seed": trial.seed, "found": found}
    ordered |= {key: value for key, value in document.items() if key not in ordered}
    body = yaml.safe_dump(ordered, sort_keys=False, width=120, allow_unicode=True, default_flow_style=None)
    return "".join(f"# {line}\n" for line in remark.splitlines()) + body


def recorded_failure(scenario: Scenario) -> Failure | None:
    """Return how a found scenario failed; None when it is no found one."""
    if scenario.found is None:
        return None
    return Failure(tuple(scenario.found.checks), scenario.found.error)


def failure_in_result(result: Mapping[str, Any]) -> Failure | None:
    """Return how a run failed, from its result.json; None when it came out as expected."""
    failed = [check["id"] for check in result["checks"] if check["expected"] not in ("any", check["outcome"])]
    return Failure(checks=tuple(failed)) if failed else None
