"""What `metadata-quorum` prints (`org.apache.kafka.tools.MetadataQuorumCommand`): the quorum in lines or in a table."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NO_DIRECTORY = urlsafe_b64encode(bytes(16)).decode().rstrip("=")
"""Voters have no directory ids here: Kafka's zero id."""


@dataclass(frozen=True, slots=True)
class QuorumReplica:
    """A voter or an observer; times in milliseconds since 1970, -1 unknown."""

    node_id: int
    log_end_offset: int
    last_fetch_ms: int
    last_caught_up_ms: int
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Quorum:
    """What the active controller says."""

    cluster_id: str
    leader_id: int
    leader_epoch: int
    high_watermark: int
    voters: tuple[QuorumReplica, ...]
    observers: tuple[QuorumReplica, ...]

    @property
    def leader(self) -> QuorumReplica:
        """The leader, who is a voter."""
        return next(voter for voter in self.voters if voter.node_id == self.leader_id)


def status_lines(quorum: Quorum) -> Iterator[str]:
    """Return the summary."""
    leader = quorum.leader
    followers = [voter for voter in quorum.voters if voter is not leader]
    lag = max((leader.log_end_offset - each.log_end_offset for each in followers), default=0)
    late_ms = max((leader.last_caught_up_ms - each.last_caught_up_ms for each in followers), default=0)
    rows = (
        ("ClusterId", quorum.cluster_id),
        ("LeaderId", quorum.leader_id),
        ("LeaderEpoch", quorum.leader_epoch),
        ("HighWatermark", quorum.high_watermark),
        ("MaxFollowerLag", lag),
        ("MaxFollowerLagTimeMs", max(late_ms, 0)),
        ("CurrentVoters", _members(quorum.voters)),
        ("CurrentObservers", _members(quorum.observers)),
    )
    for name, value in rows:
        yield f"{name + ':':<24}{value}"


def _members(replicas: Sequence[QuorumReplica]) -> str:
    members = []
    for replica in replicas:
        endpoints = {"endpoints": [replica.endpoint]} if replica.endpoint else {}
        members.append({"id": replica.node_id, "directoryId": None, **endpoints})
    return json.dumps(members)


def replication_lines(quorum: Quorum, now_ms: int | None) -> Iterator[str]:
    """Return the table, with a header; with `now_ms` the times are told as ages."""
    header = ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"]
    leader = quorum.leader
    followers = [voter for voter in quorum.voters if voter is not leader]
    rows = [header]
    for status, replicas in (("Leader", [leader]), ("Follower", followers), ("Observer", quorum.observers)):
        for each in replicas:
            times = [_time(each.last_fetch_ms, now_ms), _time(each.last_caught_up_ms, now_ms)]
            lag = leader.log_end_offset - each.log_end_offset
            rows.append([str(each.node_id), NO_DIRECTORY, str(each.log_end_offset), str(lag), *times, status])
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        yield "\t".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + "\t"


def _time(time_ms: int, now_ms: int | None) -> str:
    if now_ms is None or time_ms < 0:
        return str(time_ms)
    return f"{max(now_ms - time_ms, 0)} ms ago"
