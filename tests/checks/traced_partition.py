"""What happens to one partition, orders-0 on b1, b2 and b3, as events of a trace; what an invariant says of them."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.trace import (
    BatchAppended,
    BrokerStateChanged,
    FollowerProgressed,
    HighWatermarkAdvanced,
    IsrChangeAnswered,
    IsrChangeRequested,
    LogTruncated,
    NodeFaulted,
    NodeStarted,
    PartitionMetadataApplied,
    PartitionRoleChanged,
    RecordConsumed,
    Traced,
    TraceEvent,
)
from cluster.checks import ORACLES, Evidence, Oracle, Panel, Setting, TopicSetting

Step = tuple[str, TraceEvent]

SETTING = Setting(
    topics={"orders": TopicSetting(replication_factor=3, min_insync_replicas=2)},
    names={1: "b1", 2: "b2", 3: "b3"},
    voters=("c1", "c2", "c3"),
)


def judge(name: str, trace: Sequence[Step], setting: Setting = SETTING) -> Oracle:
    panel = Panel([ORACLES[name]()], setting)
    for number, (node, event) in enumerate(trace):
        panel.on_event(Traced(number, node, event))
    panel.at_end(Evidence(len(trace), read_back=True))
    return panel.oracles[name]


def metadata(
    node: str,
    leader: int,
    epoch: int,
    isr: tuple[int, ...] = (1, 2, 3),
    *,
    at: int,
    elr: tuple[int, ...] = (),
    last_known: tuple[int, ...] = (),
) -> Step:
    """What a node learns of orders-0; its partition epoch is the metadata offset."""
    return node, PartitionMetadataApplied("orders", 0, leader, epoch, at, (1, 2, 3), isr, elr, at, last_known)


def role(node: str, what: str, epoch: int, end: int) -> Step:
    return node, PartitionRoleChanged("orders", 0, what, epoch, end, 0)


def append(node: str, what: str, base: int, last: int, epoch: int = 0) -> Step:
    return node, BatchAppended("orders", 0, what, base, last, epoch)


def commit(node: str, offset: int, epoch: int = 0, what: str = "leader") -> Step:
    return node, HighWatermarkAdvanced("orders", 0, what, offset, epoch)


def hears(node: str, follower: int, end: int, epoch: int = 0) -> Step:
    return node, FollowerProgressed("orders", 0, follower, end, epoch)


def truncate(node: str, start: int, end: int, epoch: int) -> Step:
    return node, LogTruncated("orders", 0, start, end, epoch)


def consumed(offset: int) -> Step:
    return "c", RecordConsumed("orders", 0, offset, f"v{offset}")


def asks(node: str, *isr: int, at: int) -> Step:
    return node, IsrChangeRequested("orders", 0, isr, 0, at)


def answered(node: str, error: str, at: int) -> Step:
    return node, IsrChangeAnswered("orders", 0, error, at)


def down(node: str, how: str = "killed") -> Step:
    return "lab", NodeFaulted(node, how)


def up(node: str) -> Step:
    return node, NodeStarted(1, ("broker",))


def broker(node: str, number: int, state: str, at: int) -> Step:
    return node, BrokerStateChanged(number, at, state, at)


BEGUN = [
    metadata("b1", 1, 0, at=1),
    metadata("b2", 1, 0, at=1),
    role("b1", "leader", 0, 0),
    role("b2", "follower", 0, 0),
    role("b3", "follower", 0, 0),
]
"""b1 leads orders-0; all three are in sync."""

TEN_COMMITTED = [
    *BEGUN,
    append("b1", "leader", 0, 9),
    append("b2", "follower", 0, 9),
    append("b3", "follower", 0, 9),
    commit("b1", 10),
    commit("b2", 10, what="follower"),
]
UNCOMMITTED = [*TEN_COMMITTED, append("b1", "leader", 10, 14), append("b2", "follower", 10, 11)]
"""b1 has five more, b2 two of them, b3 none."""

RESIGNED = [*UNCOMMITTED, down("b1"), metadata("b3", 3, 1, (2, 3), at=2)]
FAILOVER = [*RESIGNED, role("b3", "leader", 1, 10), role("b2", "follower", 1, 12), truncate("b2", 12, 10, 1)]
DARK = [
    *TEN_COMMITTED,
    metadata("b1", 1, 0, (1,), at=2),
    down("b1", "powered-off"),
    up("b1"),
    metadata("b1", 1, 1, (1,), at=3),
]
"""b1 was alone in sync and lost power; it leads again, with what its disk had."""
