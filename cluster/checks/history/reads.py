"""What consumers were given: in order, without holes, and how late.

Here: jumps within one poll and from one poll to the next of the same consumer, and the lag behind real time. Not
here: values that nobody was given (`writes`).
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.checks.history.anomalies import Finding, Findings
from cluster.checks.history.operations import OK, Operation, Value
from cluster.checks.history.versions import KeyVersions

Versions = Mapping[str, KeyVersions]


def poll_orders(versions: Versions, operations: list[Operation], findings: Findings) -> None:
    """Find skips and steps back in what each consumer was given.

    A consumer's position is forgotten when it is assigned other partitions, and when a poll did not end well: nobody
    can say then where it went on. Keys that a poll names as rebalanced are not judged inside it.
    """
    judge = _Positions(versions, findings)
    for operation in operations:
        if operation.name in ("assign", "subscribe"):
            judge.placed(operation)
        elif operation.outcome != OK:
            if operation.name in ("poll", "txn") and not operation.is_open:
                judge.forget(operation.process)
        elif operation.polls:
            judge.polled(operation)


class _Positions:
    """Where each consumer was last, as an index of each key."""

    def __init__(self, versions: Versions, findings: Findings) -> None:
        self._versions = versions
        self._findings = findings
        self._last: dict[str, dict[str, int]] = {}
        self._subscribed: dict[str, bool] = {}

    def placed(self, operation: Operation) -> None:
        self._subscribed[operation.process] = operation.name == "subscribe"
        self.forget(operation.process)

    def forget(self, process: str) -> None:
        self._last.pop(process, None)

    def polled(self, operation: Operation) -> None:
        last = self._last.setdefault(operation.process, {})
        for key in operation.rebalanced:
            last.pop(key, None)
        for key, records in operation.polls:
            if not records:
                continue
            versions = self._versions[key]
            indexes = versions.indexes
            before = last.get(key)
            within = False
            for offset, value in records:
                index = indexes[offset]
                is_excused = within and key in operation.rebalanced
                jumps = before is not None and index != before + 1 and not is_excused
                if jumps and before is not None and not versions.are_passed_over(before + 1, index):
                    self._wrong(operation, key, offset, value, within=within, is_skip=index > before)
                before, within = index, True
            assert before is not None
            last[key] = before

    def _wrong(self, operation: Operation, key: str, offset: int, value: Value, *, within: bool, is_skip: bool) -> None:
        anomaly = ("int-" if within else "") + ("poll-skip" if is_skip else "nonmonotonic-poll")
        what = "jumped over known values to" if is_skip else "went back to"
        message = f"{operation.process} {what} {value} at {key}@{offset}"
        subscribed = self._subscribed.get(operation.process, False)
        process, time_us = operation.process, operation.ended_us
        self._findings.add(Finding(anomaly, message, key, offset, value, process, time_us, subscribed))


def worst_realtime_lag_us(versions: Versions, operations: list[Operation]) -> int:
    """Return a lower bound of how old the newest record of a poll was when the poll began, at worst; 0 when none.

    It counts from the moment at which somebody first knew a record behind it (Jepsen's `worst-realtime-lag`).
    """
    superseded = _superseded(versions, operations)
    worst = 0
    for operation in operations:
        if operation.outcome != OK:
            continue
        for key, records in operation.polls:
            if records:
                index = versions[key].indexes[max(offset for offset, _ in records)]
                since_us = superseded[key][index]
                if since_us is not None and operation.invoked_us - since_us > worst:
                    worst = operation.invoked_us - since_us
    return worst


def _superseded(versions: Versions, operations: list[Operation]) -> dict[str, list[int | None]]:
    """Return, for every index of every key, when a record behind it was first known; None when none ever was."""
    known: dict[str, list[int | None]] = {key: [None] * len(one.indexes) for key, one in versions.items()}
    for operation in operations:
        if operation.outcome != OK:
            continue
        time_us = operation.ended_us
        seen = [(key, offset) for key, _, offset in operation.sends if offset >= 0]
        seen += [(key, offset) for key, records in operation.polls for offset, _ in records]
        for key, offset in seen:
            times = known[key]
            index = versions[key].indexes[offset]
            first = times[index]
            if first is None or time_us < first:
                times[index] = time_us
    for key, times in known.items():
        later: int | None = None
        behind: list[int | None] = [None] * len(times)
        for index in range(len(times) - 1, -1, -1):
            behind[index] = later
            own = times[index]
            if own is not None and (later is None or own < later):
                later = own
        known[key] = behind
    return known
