"""The anomalies of a history, by the names that Jepsen's Kafka tests gave them, and what each one is.

Here: the catalogue and the form of a finding. Not here: finding them (`writes`, `reads`, `cycles`), or which of them
a configuration permits (`cluster.checks.contract`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.checks.history.operations import Value

ANOMALIES: Mapping[str, str] = {
    "lost-write": "an acknowledged value was never read although later ones of its key were",
    "unseen": "an acknowledged value was in no poll by the end of the final reading",
    "vanished": "a value that was read once is missing from the final reading, which went past its place",
    "inconsistent-offsets": "one offset of a key was seen with two values",
    "duplicate": "one value was seen at two offsets of its key",
    "aborted-read": "a value whose send or transaction failed was read (G1a)",
    "precommitted-read": "a transaction read a value that it had itself sent",
    "int-poll-skip": "inside one poll, known values between two neighbours are missing",
    "int-nonmonotonic-poll": "inside one poll, values of a key go back",
    "poll-skip": "between two polls of one consumer, known values are missing",
    "nonmonotonic-poll": "a poll goes back behind the consumer's last poll",
    "int-send-skip": "between two sends of one transaction to a key lie values of others",
    "int-nonmonotonic-send": "of two sends of one transaction to a key, the later lies before the earlier",
    "nonmonotonic-send": "of two sends of one client to a key, the later lies before the earlier",
    "g0": "transactions overwrite each other in a cycle (only write order)",
    "g1c-with-ww": "transactions read from and overwrite each other in a cycle",
    "g1c": "transactions read from each other in a cycle (no write order needed)",
}
"""Every anomaly and its definition."""

FINDINGS_KEPT_MAX = 100
"""Findings of one kind that are described; beyond, they are only counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One anomaly: which, where, when (microseconds) and whose record or consumer it concerns.

    `process` is the client to whom something was promised: the sender of a lost value, the consumer that skipped.
    `subscribed` says that a group protocol chose the consumer's partitions, `again_at` is where else the value lies.
    """

    anomaly: str
    message: str
    key: str
    offset: int
    value: Value
    process: str
    time_us: int
    subscribed: bool = False
    again_at: int = -1


class Findings:
    """What was found, by kind; the first of each kind are described, all are counted, by process."""

    def __init__(self) -> None:
        self.kept: dict[str, list[Finding]] = {}
        self.counts: dict[str, int] = {}
        self.by_client: dict[tuple[str, str, str, bool], int] = {}

    def add(self, finding: Finding) -> None:
        """Note one."""
        assert finding.anomaly in ANOMALIES, finding.anomaly
        self.counts[finding.anomaly] = self.counts.get(finding.anomaly, 0) + 1
        group = (finding.anomaly, finding.process, finding.key, finding.subscribed)
        self.by_client[group] = self.by_client.get(group, 0) + 1
        kept = self.kept.setdefault(finding.anomaly, [])
        # The first of every client and key is kept: whether it was permitted can differ from client to client.
        if len(kept) < FINDINGS_KEPT_MAX or self.by_client[group] == 1:
            kept.append(finding)
