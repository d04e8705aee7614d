"""valid-isr-and-elr, leader-in-isr: the controller's word about a partition makes sense in itself.

ValidControllerIsrAndElr of the KIP-966 specification: ISR and ELR are replicas, share nobody, there is no ELR while the
ISR is large enough, and no fenced broker is in the ISR; the last member stays there when there are no eligible leader
replicas, as the only mark of who has everything. LeaderInIsr: whoever leads is in the ISR.
"""

from __future__ import annotations

from cluster.base.ids import NO_NODE, TopicPartition
from cluster.base.trace import BrokerStateChanged, NodeStarted, PartitionMetadataApplied, TopicDeleted, Traced
from cluster.checks.oracle import Evidence, Oracle, Violation

Key = tuple[str, int]


class ValidIsrAndElr(Oracle):
    """Judge each version of a partition's metadata, and each fencing once its own batch has been told."""

    name = "valid-isr-and-elr"
    kinds = (BrokerStateChanged.kind, NodeStarted.kind, PartitionMetadataApplied.kind, TopicDeleted.kind)
    uses_model = True

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, int, int], None] = {}
        self._fenced: dict[str, dict[int, int]] = {}
        self._views: dict[str, dict[Key, PartitionMetadataApplied]] = {}
        self._unjudged: dict[str, int] = {}

    def on_event(self, traced: Traced) -> None:
        """Take a node's view in; judge what it was before when this event belongs to another batch."""
        event = traced.event
        if isinstance(event, NodeStarted):
            for known in (self._fenced, self._views, self._unjudged):
                known.pop(traced.node, None)
            return
        assert isinstance(event, BrokerStateChanged | PartitionMetadataApplied | TopicDeleted)
        if self._unjudged.get(traced.node, event.metadata_offset) < event.metadata_offset:
            self._judge_fenced(traced.time_us, traced.node)
        if isinstance(event, BrokerStateChanged):
            self._on_broker(traced.node, event)
        elif isinstance(event, TopicDeleted):
            view = self._views.get(traced.node, {})
            self._views[traced.node] = {key: known for key, known in view.items() if key[0] != event.topic}
        else:
            self._views.setdefault(traced.node, {})[(event.topic, event.partition)] = event
            version = (event.topic, event.partition, event.metadata_offset)
            if version not in self._seen:
                self._seen[version] = None
                self._judge_version(traced, event)

    def at_end(self, evidence: Evidence) -> None:
        """Judge fencings that nothing followed."""
        for node in list(self._unjudged):
            self._judge_fenced(evidence.time_us, node)

    def _on_broker(self, node: str, event: BrokerStateChanged) -> None:
        fenced = self._fenced.setdefault(node, {})
        if event.state in ("fenced", "registered", "unregistered"):
            fenced[event.broker] = event.metadata_offset
            self._unjudged[node] = event.metadata_offset
        elif event.state == "unfenced":
            fenced.pop(event.broker, None)

    def _judge_fenced(self, time_us: int, node: str) -> None:
        """By now the node has been told all that its last fencing changed."""
        del self._unjudged[node]
        fenced = self._fenced.get(node, {})
        if not fenced:
            return
        for key, view in self._views.get(node, {}).items():
            for number in view.isr:
                if number in fenced and not self._is_last_mark(view):
                    name = self.model.names.get(number, str(number))
                    where = TopicPartition(*key)
                    self._wrong(time_us, where, f"{name} is fenced and in the ISR {self._named(view.isr)} of {where}")

    def _is_last_mark(self, view: PartitionMetadataApplied) -> bool:
        return not self.setting.eligible_leader_replicas and len(view.isr) == 1 and view.leader == NO_NODE

    def _judge_version(self, traced: Traced, event: PartitionMetadataApplied) -> None:
        where = TopicPartition(event.topic, event.partition)
        isr, elr = self._named(event.isr), self._named(event.elr)
        if any(number not in event.replicas for number in (*event.isr, *event.elr)):
            self._wrong(traced.time_us, where, f"ISR {isr} or ELR {elr} of {where} names who is no replica")
        if any(number in event.isr for number in event.elr):
            self._wrong(traced.time_us, where, f"ISR {isr} and ELR {elr} of {where} share a member")
        if event.elr and len(event.isr) >= self.model.min_isr(event.topic, len(event.replicas)):
            self._wrong(traced.time_us, where, f"{where} has an ELR {elr} although its ISR {isr} is large enough")

    def _named(self, numbers: tuple[int, ...]) -> str:
        return ",".join(self.model.names.get(number, str(number)) for number in numbers) or "-"

    def _wrong(self, time_us: int, where: TopicPartition, message: str) -> None:
        self.violated(Violation(time_us, message, where))


class LeaderInIsr(Oracle):
    """Whoever leads by the metadata is in the ISR."""

    name = "leader-in-isr"
    kinds = (PartitionMetadataApplied.kind,)

    def on_event(self, traced: Traced) -> None:
        """Judge one version."""
        event = traced.event
        assert isinstance(event, PartitionMetadataApplied)
        if event.leader != NO_NODE and event.leader not in event.isr:
            where = TopicPartition(event.topic, event.partition)
            leader = self.setting.names.get(event.leader, str(event.leader))
            self.violated(Violation(traced.time_us, f"{leader} leads {where} and is not in its ISR", where))
