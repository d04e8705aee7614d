"""Anomalies weighed against the contract: what was found, whether that was permitted, and why.

Here: grouping findings by the reason that permits them, and the sentences people read. Not here: the rules
(`contract`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cluster.checks.contract import Adversity, Circumstances, permission
from cluster.checks.history import Finding, HistoryReport
from cluster.checks.setting import Setting

NOT_PERMITTED = "nothing in the configuration permits it: a bug in the cluster or in the client"

_NOUNS: Mapping[str, tuple[str, str]] = {
    "lost-write": ("acknowledged record skipped for good", "acknowledged records skipped for good"),
    "unseen": ("acknowledged record lost", "acknowledged records lost"),
    "vanished": ("record lost that was read before", "records lost that were read before"),
    "inconsistent-offsets": ("offset given to two records", "offsets given to two records"),
    "duplicate": ("record stored more than once", "records stored more than once"),
    "aborted-read": ("failed record read", "failed records read"),
    "nonmonotonic-send": ("record out of order", "records out of order"),
    "poll-skip": ("poll that skipped records", "polls that skipped records"),
    "nonmonotonic-poll": ("poll that went back", "polls that went back"),
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Some findings of one anomaly with one answer: permitted for a reason, or a bug."""

    anomaly: str
    count: int
    permitted: bool
    reason: str
    source: str
    first: str
    first_finding: Finding

    @property
    def sentence(self) -> str:
        """`3 acknowledged records lost: permitted, acks=1: …`."""
        one, many = _NOUNS.get(self.anomaly, (self.anomaly, self.anomaly))
        answer = "permitted" if self.permitted else "NOT PERMITTED"
        return f"{self.count} {one if self.count == 1 else many}: {answer}, {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        row = asdict(self)
        del row["first_finding"]
        return {**row, "sentence": self.sentence}


def weigh(report: HistoryReport, setting: Setting, adversity_of: Callable[[str], Adversity]) -> tuple[Judgement, ...]:
    """Return all judgements: what is not permitted first, then in the catalogue's order.

    `adversity_of` tells of a key (a partition) what befell the nodes that had its records.
    """
    groups: dict[tuple[str, str, str], tuple[int, Finding]] = {}
    firsts = {
        (finding.anomaly, finding.process, finding.key, finding.subscribed): finding
        for kept in report.findings.kept.values()
        for finding in reversed(kept)
    }
    for client_key, count in report.findings.by_client.items():
        anomaly, process, key, subscribed = client_key
        asked = Circumstances(setting.client(process), setting.topic_of(key), setting, adversity_of(key), subscribed)
        permitted = permission(anomaly, asked)
        group = (anomaly, "", "") if permitted is None else (anomaly, permitted.reason, permitted.source)
        before, first = groups.get(group, (0, firsts[client_key]))
        groups[group] = (before + count, first)
    judgements = [
        Judgement(anomaly, count, bool(reason), reason or NOT_PERMITTED, source, first.message, first)
        for (anomaly, reason, source), (count, first) in groups.items()
    ]
    return tuple(sorted(judgements, key=lambda one: one.permitted))
