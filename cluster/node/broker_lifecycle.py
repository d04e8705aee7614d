"""A broker's life as the controller sees it: register, catch up, be unfenced, send heartbeats, leave in good order.

Here: Kafka's `BrokerLifecycleManager`, and the file that tells a clean stop from any other (KIP-966). Not here:
what the controller makes of a heartbeat (`cluster.controller.brokers`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import Enum
from uuid import UUID

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_EPOCH
from cluster.base.trace import NodeReady
from cluster.node.config import NodeConfig
from cluster.node.controller_client import ControllerClient
from cluster.node.metadata_follower import MetadataFollower
from cluster.node.world import World
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

CLEAN_SHUTDOWN_FILE = ".kafka_cleanshutdown"
"""Kafka's name: it exists while a broker is down after a clean stop, and holds the broker epoch that ended."""

_RETRY_MS = 50
"""Between two attempts to register while an earlier process's session has not ended."""


class BrokerState(Enum):
    """Where this process is in its life; the names are Kafka's."""

    NOT_RUNNING = "not running"
    STARTING = "starting"
    RECOVERY = "recovery"
    RUNNING = "running"
    PENDING_CONTROLLED_SHUTDOWN = "pending controlled shutdown"
    SHUTTING_DOWN = "shutting down"


TRANSITIONS: Mapping[BrokerState, tuple[BrokerState, ...]] = {
    BrokerState.NOT_RUNNING: (BrokerState.STARTING, BrokerState.SHUTTING_DOWN),
    BrokerState.STARTING: (BrokerState.RECOVERY, BrokerState.PENDING_CONTROLLED_SHUTDOWN),
    BrokerState.RECOVERY: (
        BrokerState.STARTING,
        BrokerState.RUNNING,
        BrokerState.PENDING_CONTROLLED_SHUTDOWN,
    ),
    BrokerState.RUNNING: (BrokerState.STARTING, BrokerState.PENDING_CONTROLLED_SHUTDOWN),
    BrokerState.PENDING_CONTROLLED_SHUTDOWN: (BrokerState.SHUTTING_DOWN,),
    BrokerState.SHUTTING_DOWN: (),
}
"""STARTING: not registered. RECOVERY: registered and fenced. RUNNING: unfenced at least once."""

_REGISTRATION_LOST = (ErrorCode.STALE_BROKER_EPOCH, ErrorCode.BROKER_ID_NOT_REGISTERED)


class BrokerLifecycle:
    """One process of one broker. `ready` is set when the controller first lets it serve."""

    def __init__(
        self,
        config: NodeConfig,
        world: World,
        configs: Configs,
        client: ControllerClient,
        follower: MetadataFollower,
    ) -> None:
        self.state = BrokerState.NOT_RUNNING
        self.broker_epoch = NO_EPOCH
        self.incarnation_id = UUID(int=world.rng.getrandbits(128), version=4)
        self.ready = asyncio.Event()
        self._config = config
        self._world = world
        self._client = client
        self._follower = follower
        self._interval_ms = configs.integer("broker.heartbeat.interval.ms")
        self._session_timeout_ms = configs.integer("broker.session.timeout.ms")
        self._previous_broker_epoch = self._take_clean_shutdown_epoch()
        self._wants_shut_down = False
        self._wake = asyncio.Event()
        self._may_stop = asyncio.Event()
        self._was_let_go = False
        self._heard_since_ms: int | None = None
        self._heard = asyncio.Event()

    def may_be_replaced(self) -> bool:
        """Whether the controller, not having heard of this broker for a session, may have let others take over.

        Its heartbeats are answered too late to count from then, so they count from when they were sent.
        """
        now_ms = self._world.clock.monotonic_ms()
        return self._heard_since_ms is None or now_ms - self._heard_since_ms >= self._session_timeout_ms

    async def heard_again(self, timeout_ms: int) -> bool:
        """Return True when the controller next tells this broker that it may serve, False when it does not in time."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._heard.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Keep this broker registered and heard until it may shut down, or until cancelled.

        Raises KafkaError when the controller refuses it for good, such as INCONSISTENT_CLUSTER_ID.
        """
        self._become(BrokerState.STARTING)
        while not self._may_stop.is_set():
            await self._register()
            await self._stay()

    def hurry(self) -> None:
        """Let a controlled shutdown, under way or to come, wait for the controller no longer."""
        self._may_stop.set()

    async def controlled_shutdown(self) -> bool:
        """Hand over all leaderships; return whether the controller said that nothing depends on this broker now.

        Takes two session timeouts at most: without a controller nobody can take over anyway. `run` ends when it was
        let go; otherwise cancel it.
        """
        self._wants_shut_down = True
        was_registered = self.state in (BrokerState.RECOVERY, BrokerState.RUNNING)
        if self.state is not BrokerState.NOT_RUNNING:
            self._become(BrokerState.PENDING_CONTROLLED_SHUTDOWN)
        self._wake.set()
        if was_registered:
            try:
                async with asyncio.timeout(2 * self._session_timeout_ms / 1000):
                    await self._may_stop.wait()
            except TimeoutError:
                pass  # it leaves all the same
        self._may_stop.set()
        self._become(BrokerState.SHUTTING_DOWN)
        return self._was_let_go

    def mark_clean_shutdown(self) -> None:
        """Write down that this process lost nothing. Call it when all logs are synced and closed, not before.

        Whether the controller let it go does not matter. A process that never registered again has touched nothing,
        so it leaves the word of the one before.
        """
        assert self.state is BrokerState.SHUTTING_DOWN, "only a stopped broker can have stopped cleanly"
        if self._previous_broker_epoch != NO_EPOCH:
            self._world.disk.replace(CLEAN_SHUTDOWN_FILE, str(self._previous_broker_epoch).encode())

    def _become(self, state: BrokerState) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state = state

    def _take_clean_shutdown_epoch(self) -> int:
        """Read the file and delete it: from now on a crash is a crash. Without it, the last stop was not clean."""
        disk = self._world.disk
        if not disk.exists(CLEAN_SHUTDOWN_FILE):
            return NO_EPOCH
        content = disk.read(CLEAN_SHUTDOWN_FILE, 0, disk.size(CLEAN_SHUTDOWN_FILE))
        disk.delete(CLEAN_SHUTDOWN_FILE)
        return int(content) if content.isdigit() else NO_EPOCH

    # --- registration

    async def _register(self) -> None:
        """Register until it succeeds, then wait until this broker's metadata has the registration."""
        request = rpc.RegisterBrokerRequest(
            cluster_id=self._config.cluster_id,
            broker_id=self._config.node_id,
            incarnation_id=self.incarnation_id.bytes,
            kafka=pb.Endpoint(host=self._config.advertised_host or self._config.host, port=self._config.kafka_port),
            rpc=pb.Endpoint(host=self._config.host, port=self._config.rpc_port),
            rack=self._config.rack,
            previous_broker_epoch=self._previous_broker_epoch,
        )
        while not self._may_stop.is_set():
            try:
                reply = await self._client.call("RegisterBroker", request, timeout_ms=self._session_timeout_ms)
            except KafkaError:
                continue  # no controller yet; the call has waited
            code = ErrorCode(reply.status.error_code)
            if code is ErrorCode.NONE:
                self.broker_epoch = reply.broker_epoch
                # If this process has to register again, it still has everything that it had.
                self._previous_broker_epoch = reply.broker_epoch
                break
            if code is not ErrorCode.DUPLICATE_BROKER_REGISTRATION:
                raise KafkaError(code, reply.status.error_message)
            await asyncio.sleep(min(_RETRY_MS, self._interval_ms) / 1000)
        if self.state is BrokerState.STARTING:
            self._become(BrokerState.RECOVERY)
        # A follower that is stuck is no reason to be silent: the heartbeats tell how far it is.
        await self._follower.when(
            lambda image: image.offset >= self.broker_epoch, timeout_ms=min(self._interval_ms, self._session_timeout_ms)
        )

    # --- heartbeats

    async def _stay(self) -> None:
        """Send heartbeats until this process may stop, or has to register again."""
        while not self._may_stop.is_set():
            self._wake.clear()
            began_ms = self._world.clock.monotonic_ms()
            request = rpc.BrokerHeartbeatRequest(
                broker_id=self._config.node_id,
                broker_epoch=self.broker_epoch,
                current_metadata_offset=self._follower.image.offset,
                want_shut_down=self._wants_shut_down,
            )
            try:
                reply = await self._client.call(
                    "BrokerHeartbeat", request, timeout_ms=max(self._session_timeout_ms // 2, 1)
                )
            except KafkaError:
                continue  # nobody is active; the call has waited
            code = ErrorCode(reply.status.error_code)
            if code in _REGISTRATION_LOST:
                if self.state in (BrokerState.RECOVERY, BrokerState.RUNNING):
                    self._become(BrokerState.STARTING)
                return
            if code is ErrorCode.NONE:
                self._hear(reply, began_ms)
            await self._pause(reply, began_ms)

    def _hear(self, reply: rpc.BrokerHeartbeatReply, sent_ms: int) -> None:
        self._heard_since_ms = None if reply.is_fenced else sent_ms
        if not reply.is_fenced:
            self._heard.set()
            self._heard = asyncio.Event()  # for who waits for the next time
        if reply.should_shut_down:
            self._was_let_go = True
            self._may_stop.set()
        elif not reply.is_fenced and self.state is BrokerState.RECOVERY:
            self._become(BrokerState.RUNNING)
            self.ready.set()
            if self._world.tracer.enabled:
                self._world.tracer.emit(NodeReady(self.broker_epoch))

    async def _pause(self, reply: rpc.BrokerHeartbeatReply, began_ms: int) -> None:
        """Sleep until the next heartbeat; a broker that waits to be let in or out asks more often."""
        if self._may_stop.is_set():
            return
        is_waiting = reply.is_fenced or self._wants_shut_down
        interval_ms = min(_RETRY_MS, self._interval_ms) if is_waiting else self._interval_ms
        left_ms = began_ms + interval_ms - self._world.clock.monotonic_ms()
        try:
            async with asyncio.timeout(max(left_ms, 1) / 1000):
                await self._wake.wait()
        except TimeoutError:
            return
