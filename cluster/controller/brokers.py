"""Brokers register, send heartbeats, are fenced and unfenced, and leave: the decisions, not the clock.

Here: Kafka's `ClusterControlManager` and the state machine of `BrokerHeartbeatManager`, as functions of an image
and the sessions. Order inside a decision: what happens to partitions, then what happens to the registration.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from uuid import UUID

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.base.limits import BROKERS_MAX
from cluster.controller.decision import Decision
from cluster.controller.leadership import Records, bring_broker_in, leads_any, take_broker_out, take_lost_broker_out
from cluster.controller.sessions import BrokerSessions
from cluster.metadata import BrokerRegistration, Endpoint, MetadataImage, broker_record, elr_is_enabled
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb


class BrokerControlState(Enum):
    """Where a registered broker is in its life; the names are Kafka's."""

    FENCED = "fenced"
    UNFENCED = "unfenced"
    CONTROLLED_SHUTDOWN = "shutting-down"
    SHUTDOWN_NOW = "shut-down"


CONTROL_STATES: Mapping[BrokerControlState, tuple[BrokerControlState, ...]] = {
    BrokerControlState.FENCED: (BrokerControlState.UNFENCED, BrokerControlState.SHUTDOWN_NOW),
    BrokerControlState.UNFENCED: (
        BrokerControlState.FENCED,
        BrokerControlState.CONTROLLED_SHUTDOWN,
        BrokerControlState.SHUTDOWN_NOW,
    ),
    BrokerControlState.CONTROLLED_SHUTDOWN: (BrokerControlState.FENCED, BrokerControlState.SHUTDOWN_NOW),
    BrokerControlState.SHUTDOWN_NOW: (),
}
"""Which state may follow which. A broker that shut down comes back by registering anew."""


def register_broker(
    image: MetadataImage, configs: Configs, sessions: BrokerSessions, request: rpc.RegisterBrokerRequest, now_ms: int
) -> Decision[rpc.RegisterBrokerReply]:
    """Register a broker, fenced. Raises KafkaError with what Kafka answers when it may not.

    The broker epoch is the offset of the record, so it is unique and only rises. While a session of an earlier
    process under the same id is valid, the new one has to wait: the old one may still be alive. Not so when that one
    was shutting down: it leads nothing any more.
    """
    if request.cluster_id != image.cluster_id:
        raise KafkaError(
            ErrorCode.INCONSISTENT_CLUSTER_ID,
            f"broker {request.broker_id} belongs to cluster {request.cluster_id!r}, this is {image.cluster_id!r}",
        )
    broker_id = NodeId(request.broker_id)
    incarnation_id = UUID(bytes=request.incarnation_id)
    existing = image.brokers.get(broker_id)
    if existing is None and len(image.brokers) >= BROKERS_MAX:
        raise KafkaError(ErrorCode.INVALID_REGISTRATION, f"there are {BROKERS_MAX} brokers already")
    is_same_process = existing is not None and existing.incarnation_id == incarnation_id
    records: Records = ()
    if existing is not None and not is_same_process:
        if not existing.in_controlled_shutdown and sessions.is_valid(broker_id, existing.broker_epoch, now_ms):
            raise KafkaError(
                ErrorCode.DUPLICATE_BROKER_REGISTRATION,
                f"another process is registered as broker {broker_id}; if it is gone, its session ends soon",
            )
        records = _take_previous_process_out(image, configs, existing, request.previous_broker_epoch)
    broker_epoch = image.offset + 1
    registration = BrokerRegistration(
        broker_id=broker_id,
        incarnation_id=incarnation_id,
        broker_epoch=broker_epoch,
        kafka=Endpoint(request.kafka.host, request.kafka.port),
        rpc=Endpoint(request.rpc.host, request.rpc.port),
        rack=request.rack or None,
        fenced=existing.fenced if existing is not None and is_same_process else True,
        in_controlled_shutdown=existing.in_controlled_shutdown if existing is not None and is_same_process else False,
    )
    reply = rpc.RegisterBrokerReply(broker_epoch=broker_epoch)
    return Decision((*records, broker_record(registration)), reply)


def _take_previous_process_out(
    image: MetadataImage, configs: Configs, existing: BrokerRegistration, previous_broker_epoch: int
) -> Records:
    """A stop was clean if the broker can name the epoch it had (KIP-966); otherwise its last records may be gone."""
    is_clean = previous_broker_epoch == existing.broker_epoch
    if is_clean or not elr_is_enabled(image, configs):
        return take_broker_out(image, configs, existing.broker_id)
    return take_lost_broker_out(image, configs, existing.broker_id)


def check_broker_epoch(image: MetadataImage, broker_id: int, broker_epoch: int) -> BrokerRegistration:
    """Return the registration that a request speaks for.

    Raises KafkaError(BROKER_ID_NOT_REGISTERED) or, when another registration took its place, STALE_BROKER_EPOCH.
    """
    broker = image.brokers.get(broker_id)
    if broker is None:
        raise KafkaError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"broker {broker_id} is not registered")
    if broker.broker_epoch != broker_epoch:
        raise KafkaError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"broker {broker_id} is registered with epoch {broker.broker_epoch}, not {broker_epoch}",
        )
    return broker


def heartbeat(
    image: MetadataImage, configs: Configs, sessions: BrokerSessions, request: rpc.BrokerHeartbeatRequest
) -> tuple[Decision[rpc.BrokerHeartbeatReply], BrokerControlState]:
    """Decide what a heartbeat does to its broker, and the state that follows. Raises as `check_broker_epoch`."""
    broker = check_broker_epoch(image, request.broker_id, request.broker_epoch)
    current = control_state(broker)
    following = _following_state(image, sessions, broker, request)
    assert following is current or following in CONTROL_STATES[current], f"{current} -> {following}"
    records: Records = ()
    if following is not current:
        records = _transition(image, configs, broker, following)
    reply = rpc.BrokerHeartbeatReply(
        is_caught_up=request.current_metadata_offset >= broker.broker_epoch,
        is_fenced=following in (BrokerControlState.FENCED, BrokerControlState.SHUTDOWN_NOW),
        should_shut_down=following is BrokerControlState.SHUTDOWN_NOW,
    )
    return Decision(records, reply), following


def control_state(broker: BrokerRegistration) -> BrokerControlState:
    """Return where a registration is in its life."""
    if broker.fenced:
        return BrokerControlState.FENCED
    if broker.in_controlled_shutdown:
        return BrokerControlState.CONTROLLED_SHUTDOWN
    return BrokerControlState.UNFENCED


def _following_state(
    image: MetadataImage, sessions: BrokerSessions, broker: BrokerRegistration, request: rpc.BrokerHeartbeatRequest
) -> BrokerControlState:
    current = control_state(broker)
    if current is BrokerControlState.FENCED:
        if request.want_shut_down:
            return BrokerControlState.SHUTDOWN_NOW
        # Unfencing waits until the broker has seen its own registration, and with it whatever was its before. It waits
        # until it knows, too, that others took over when it was fenced: one that woke from a pause would believe
        # meanwhile that it still leads and coordinates, and that the controller has just told it so.
        needed_offset = max(broker.broker_epoch, sessions.fenced_offset(broker.broker_id))
        is_ready = not request.want_fence and request.current_metadata_offset >= needed_offset
        return BrokerControlState.UNFENCED if is_ready else BrokerControlState.FENCED
    if current is BrokerControlState.UNFENCED:
        if request.want_fence:
            return BrokerControlState.SHUTDOWN_NOW if request.want_shut_down else BrokerControlState.FENCED
        if request.want_shut_down:
            has_to_hand_over = leads_any(image, broker.broker_id)
            return BrokerControlState.CONTROLLED_SHUTDOWN if has_to_hand_over else BrokerControlState.SHUTDOWN_NOW
        return current
    if leads_any(image, broker.broker_id):
        return current
    # The others must know their new leaders before this one stops serving them.
    others = [other.broker_id for other in image.brokers.values() if other.is_active]
    leaving_offset = sessions.leaving_offset(broker.broker_id)
    lowest = sessions.lowest_offset(others)
    is_known = leaving_offset is None or lowest is None or leaving_offset <= lowest
    return BrokerControlState.SHUTDOWN_NOW if is_known else current


def _transition(
    image: MetadataImage, configs: Configs, broker: BrokerRegistration, following: BrokerControlState
) -> Records:
    if following is BrokerControlState.UNFENCED:
        return (*bring_broker_in(image, configs, broker.broker_id), _change(broker, fenced=False))
    if following is BrokerControlState.CONTROLLED_SHUTDOWN:
        records = take_broker_out(image, configs, broker.broker_id)
        return (*records, _change(broker, in_controlled_shutdown=True))
    if broker.fenced:
        return ()
    return fence_broker(image, configs, broker.broker_id)


def fence_broker(image: MetadataImage, configs: Configs, broker_id: NodeId) -> Records:
    """Fence a broker: it was silent for a session, or is gone. It leads nothing and is in no ISR any more."""
    broker = image.brokers[broker_id]
    assert not broker.fenced, f"broker {broker_id} is fenced already"
    leaves = False if broker.in_controlled_shutdown else None
    return (
        *take_broker_out(image, configs, broker_id),
        _change(broker, fenced=True, in_controlled_shutdown=leaves),
    )


def unregister_broker(
    image: MetadataImage, configs: Configs, request: rpc.UnregisterBrokerRequest
) -> Decision[rpc.StatusReply]:
    """Forget a broker for good. Raises KafkaError(BROKER_ID_NOT_REGISTERED).

    It loses its place in the ELR too: whoever registers under this id next has no history with us.
    """
    broker = image.brokers.get(request.broker_id)
    if broker is None:
        raise KafkaError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"broker {request.broker_id} is not registered")
    goodbye = pb.UnregisterBrokerRecord(broker_id=broker.broker_id, broker_epoch=broker.broker_epoch)
    records = take_lost_broker_out(image, configs, broker.broker_id)
    return Decision((*records, pb.MetadataRecord(unregister_broker=goodbye)), rpc.StatusReply())


def _change(
    broker: BrokerRegistration, *, fenced: bool | None = None, in_controlled_shutdown: bool | None = None
) -> pb.MetadataRecord:
    return pb.MetadataRecord(
        broker_registration_change=pb.BrokerRegistrationChangeRecord(
            broker_id=broker.broker_id,
            broker_epoch=broker.broker_epoch,
            fenced=fenced,
            in_controlled_shutdown=in_controlled_shutdown,
        )
    )
