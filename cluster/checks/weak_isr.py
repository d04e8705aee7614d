"""weak-isr: below a leader's high watermark, whoever the leader itself counts as in sync holds the same records.

WeakIsr of the 2018 specification of Kafka's replication: it holds for stale leaders as well, which commit by their own
knowledge. Judged when a leader commits, of members whose process runs.

The specification's replicas forget nothing. Ours may: a member acknowledges a record, loses it with its power, and is
back before the leader, which was paused, reads the acknowledgement. That leader commits rightly: everybody had the
record when asked, and KIP-966 elects nobody who came back with less. So a record that a member lost counts as held
as long as the last that this leader heard of the member, under its epoch, says that it has it.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import FollowerProgressed, HighWatermarkAdvanced, Traced
from cluster.checks.contract import COMMITTED_LOST
from cluster.checks.epoch_runs import UNKNOWN_EPOCH, EpochRuns
from cluster.checks.oracle import Oracle, Violation


class WeakIsr(Oracle):
    """Compare the logs of a leader's own ISR at the last committed record."""

    name = "weak-isr"
    kinds = (FollowerProgressed.kind, HighWatermarkAdvanced.kind)
    uses_model = True
    permitted_as = COMMITTED_LOST

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[tuple[str, str, int, int], FollowerProgressed] = {}  # by leader, partition and follower

    def on_event(self, traced: Traced) -> None:
        """Judge a leader that moves its high watermark."""
        event = traced.event
        if isinstance(event, FollowerProgressed):
            self._heard[(traced.node, event.topic, event.partition, event.follower)] = event
            return
        assert isinstance(event, HighWatermarkAdvanced)
        if event.role != "leader" or self.model.is_ignored(traced.node, event.topic):
            return
        partition = self.model.partitions[(event.topic, event.partition)]
        leader = partition.replicas[traced.node]
        last = event.high_watermark - 1
        epoch = leader.log.epoch_at(last)
        for number in leader.isr:
            member = self.model.member(partition, number)
            if member is None or member is leader or _holds(member.log, last, epoch):
                continue
            if self._said_so(traced.node, number, event) and any(_holds(log, last, epoch) for log in member.lost):
                continue
            where = TopicPartition(event.topic, event.partition)
            message = f"{traced.node} commits {where}@{last}, which {member.node} of its ISR does not hold"
            self.violated(Violation(traced.time_us, message, where, last))

    def _said_so(self, leader: str, follower: int, event: HighWatermarkAdvanced) -> bool:
        """Whether the leader has not heard otherwise than that a follower holds what it commits."""
        heard = self._heard.get((leader, event.topic, event.partition, follower))
        return (
            heard is not None
            and heard.leader_epoch == event.leader_epoch
            and heard.log_end_offset >= event.high_watermark
        )


def _holds(log: EpochRuns, offset: int, epoch: int) -> bool:
    """Whether a log has the record of this epoch at an offset, as far as epochs are known."""
    return log.end > offset and (log.epoch_at(offset) in (epoch, UNKNOWN_EPOCH) or epoch == UNKNOWN_EPOCH)
