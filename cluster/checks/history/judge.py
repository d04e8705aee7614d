"""Judging a history: every anomaly in one call, linear in the number of records.

Here: the order of the checks and what they add up to. Not here: what the configuration permits
(`cluster.checks.contract`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.checks.history.anomalies import Findings
from cluster.checks.history.cycles import cycles
from cluster.checks.history.operations import FAIL, OK, Operation
from cluster.checks.history.reads import poll_orders, worst_realtime_lag_us
from cluster.checks.history.versions import version_orders
from cluster.checks.history.writes import (
    aborted_reads,
    duplicates,
    inconsistent_offsets,
    lost_writes,
    send_orders,
    unseen,
    vanished,
)
from cluster.checks.setting import Setting


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """What a history shows. Counts are of records; `has_final_reading` says whether `unseen` could be judged."""

    findings: Findings
    operations: int
    sent: int
    acked: int
    failed: int
    unknown: int
    read: int
    has_final_reading: bool
    worst_realtime_lag_us: int


def check_history(operations: Iterable[Operation], setting: Setting | None = None) -> HistoryReport:
    """Look for every anomaly. `setting` says which topics are compacted: what may be removed there is not missed."""
    history = list(operations)
    topics = setting or Setting()
    versions = version_orders(history, lambda key: topics.topic_of(key).is_compacted)
    findings = Findings()
    has_final_reading = any(one.final and one.outcome == OK and one.name in ("poll", "txn") for one in history)
    lost_writes(versions, findings)
    if has_final_reading:
        unseen(versions, findings)
        vanished(versions, findings)
    inconsistent_offsets(versions, findings)
    duplicates(versions, findings)
    aborted_reads(versions, history, findings)
    poll_orders(versions, history, findings)
    send_orders(versions, history, findings)
    cycles(versions, history, findings)
    outcomes = {OK: 0, FAIL: 0}
    sent = 0
    for operation in history:
        count = len(operation.sends)
        sent += count
        if operation.outcome in outcomes:
            outcomes[operation.outcome] += count
    return HistoryReport(
        findings=findings,
        operations=len(history),
        sent=sent,
        acked=outcomes[OK],
        failed=outcomes[FAIL],
        unknown=sent - outcomes[OK] - outcomes[FAIL],
        read=sum(len(records) for one in history if one.outcome == OK for _, records in one.polls),
        has_final_reading=has_final_reading,
        worst_realtime_lag_us=worst_realtime_lag_us(versions, history),
    )
