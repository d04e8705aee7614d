"""What clients saw, judged as a black box: the format of a history, its anomalies, and how they are found."""

from __future__ import annotations

from cluster.checks.history.anomalies import ANOMALIES, Finding, Findings
from cluster.checks.history.judge import HistoryReport, check_history
from cluster.checks.history.operations import HistoryError, HistoryReader, Operation, to_lines
from cluster.checks.history.trace_history import history_of

__all__ = [
    "ANOMALIES",
    "Finding",
    "Findings",
    "HistoryError",
    "HistoryReader",
    "HistoryReport",
    "Operation",
    "check_history",
    "history_of",
    "to_lines",
]
