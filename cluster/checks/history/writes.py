"""What became of values that were sent: lost, unseen, stored twice, read although they failed, out of order.

Here: one function for each anomaly, each linear in the number of records (the order of sends: n log n in the worst
case). Not here: what consumers were given in which order (`reads`).
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.checks.history.anomalies import Finding, Findings
from cluster.checks.history.operations import FAIL, OK, UNKNOWN, Operation
from cluster.checks.history.versions import KeyVersions

Versions = Mapping[str, KeyVersions]


def lost_writes(versions: Versions, findings: Findings) -> None:
    """Find values below the highest that was read, which nobody ever read.

    What a consumer has gone past it will not come back for, so no final reading is needed. A transaction whose outcome
    is unknown counts as committed when any of its values was read.
    """
    for key, known in versions.items():
        highest = max((known.first_index(value) for value in known.read), default=-1)
        for value, operation in known.senders.items():
            index = known.last_index(value)
            if not 0 <= index <= highest or value in known.read or not _is_committed(versions, operation):
                continue
            if known.may_be_compacted(value):
                continue
            offset = known.sorted_offsets[index]
            message = f"{value} was acknowledged to {operation.process} at {key}@{offset} and never read"
            time_us = operation.ended_us
            findings.add(Finding("lost-write", message, key, offset, value, operation.process, time_us))


def _is_committed(versions: Versions, operation: Operation) -> bool:
    if operation.outcome == OK:
        return True
    return operation.outcome == UNKNOWN and any(value in versions[key].read for key, value, _ in operation.sends)


def unseen(versions: Versions, findings: Findings) -> None:
    """Find acknowledged values that nobody had read by the end. It asks for a history with a final reading."""
    for key, known in versions.items():
        for value, operation in known.senders.items():
            if operation.outcome == OK and value not in known.read and not known.may_be_compacted(value):
                offset = known.offsets.get(value, -1)
                place = f"{key}@{offset}" if offset >= 0 else key
                message = f"{value} was acknowledged to {operation.process} at {place} and is gone"
                time_us = operation.ended_us
                findings.add(Finding("unseen", message, key, offset, value, operation.process, time_us))


def vanished(versions: Versions, findings: Findings) -> None:
    """Find values that somebody read and that the final reading, which began below them, did not give again."""
    for key, known in versions.items():
        if known.final_from < 0:
            continue
        for value, offset in known.offsets.items():
            if value not in known.read or value in known.read_finally or offset < known.final_from:
                continue
            if known.may_be_compacted(value):
                continue
            sender = known.senders.get(value)
            if sender is not None and sender.outcome == FAIL:
                continue  # an aborted record has to go; that somebody read it is an aborted-read
            process = "" if sender is None else sender.process
            time_us = 0 if sender is None else sender.ended_us
            message = f"{value} was read at {key}@{offset} and is gone"
            findings.add(Finding("vanished", message, key, offset, value, process, time_us))


def inconsistent_offsets(versions: Versions, findings: Findings) -> None:
    """Find offsets at which two values were seen."""
    for key, known in versions.items():
        for offset, others in known.others.items():
            for value, process in others.items():
                first = known.at[offset]
                message = f"{key}@{offset} was {first}, and {process} was shown {value}"
                # The promise that was broken was made to the sender of the value that did not stay.
                gone = first if value in known.read_finally else value
                sender = known.senders.get(gone)
                owner, time_us = (process, 0) if sender is None else (sender.process, sender.ended_us)
                findings.add(Finding("inconsistent-offsets", message, key, offset, gone, owner, time_us))


def duplicates(versions: Versions, findings: Findings) -> None:
    """Find values that lie at more than one offset."""
    for key, known in versions.items():
        for value, offsets in known.repeats.items():
            operation = known.senders.get(value)
            process = "" if operation is None else operation.process
            first, *rest = sorted(offsets)
            message = f"{value} is at {key}@{first} and again at {', '.join(f'@{offset}' for offset in rest)}"
            time_us = 0 if operation is None else operation.ended_us
            findings.add(Finding("duplicate", message, key, first, value, process, time_us, again_at=rest[0]))


def aborted_reads(versions: Versions, operations: list[Operation], findings: Findings) -> None:
    """Find polls that returned what had surely failed (Adya's G1a), and transactions that read what they sent."""
    for operation in operations:
        if operation.outcome != OK:
            continue
        for key, records in operation.polls:
            senders = versions[key].senders
            for offset, value in records:
                sender = senders.get(value)
                if sender is None:
                    continue
                if sender is operation:
                    message = f"{operation.process} read {value}, which it had sent in the same transaction"
                    anomaly = "precommitted-read"
                elif sender.outcome == FAIL:
                    message = f"{operation.process} read {value} at {key}@{offset}, which had failed"
                    anomaly = "aborted-read"
                else:
                    continue
                process, time_us = operation.process, operation.ended_us
                findings.add(Finding(anomaly, message, key, offset, value, process, time_us))


def send_orders(versions: Versions, operations: list[Operation], findings: Findings) -> None:
    """Find sends of one client that lie in the log in another order than that of sending.

    The order of sending is that of the invocations: a producer may have many sends under way.
    """
    last: dict[tuple[str, str], int] = {}
    in_order = sorted((one for one in operations if one.sends and one.outcome == OK), key=lambda one: one.number)
    for operation in in_order:
        within: dict[str, int] = {}
        for key, value, offset in operation.sends:
            if offset < 0:
                continue
            index = versions[key].indexes[offset]
            before = within.get(key)
            if before is not None and index != before + 1:
                anomaly = "int-nonmonotonic-send" if index <= before else "int-send-skip"
                message = f"{operation.process} sent {value} after another record of its transaction, to {key}@{offset}"
                process, time_us = operation.process, operation.ended_us
                findings.add(Finding(anomaly, message, key, offset, value, process, time_us))
            owner = (operation.process, key)
            if before is None and index <= last.get(owner, -1):
                message = (
                    f"{value} was sent by {operation.process} after a record that lies behind it, at {key}@{offset}"
                )
                process, time_us = operation.process, operation.ended_us
                findings.add(Finding("nonmonotonic-send", message, key, offset, value, process, time_us))
            within[key] = index
        for key, index in within.items():
            last[(operation.process, key)] = index
