"""What an operator does to a cluster while it is broken: elections, reassignments, changes of config, a few records.

Here: these steps, carried out through Kafka's own protocol by a client of their own, so that they go the way a real
operator's request goes. Not here: faults (`cluster.lab.fault_table`), and clients that run all the time (`workloads`).

A refusal is no failure of the run: it is entered into the trace, as what an operator would be told.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.errors import KafkaError as ClientError

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, RecordSent, RecordUnknown, StepEnded
from cluster.lab import LAB, Target
from cluster.scenario.schema import Client
from cluster.scenario.steps import ConfigChange, Elect, Produce, Reassign
from cluster.scenario.workloads import connect, make_producer
from cluster.wire import decode_response, encode_request

ELECT_LEADERS_KEY = 43
INCREMENTAL_ALTER_CONFIGS_KEY = 44
ALTER_PARTITION_REASSIGNMENTS_KEY = 45
_VERSIONS = {ELECT_LEADERS_KEY: 1, INCREMENTAL_ALTER_CONFIGS_KEY: 0, ALTER_PARTITION_REASSIGNMENTS_KEY: 0}

PATIENCE_S = 15.0
"""How long an operator asks again while no controller answers."""

ANSWER_S = 5.0
PAUSE_S = 0.25
_TOPIC, _BROKER = 2, 4
_SET, _DELETE = 0, 1
_PASSING = (ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NETWORK_EXCEPTION)
_WELCOME = (ErrorCode.NONE, ErrorCode.ELECTION_NOT_NEEDED)


class Operator:
    """Carries operations out on one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._turns: dict[str, asyncio.Lock] = {}

    async def do(self, step: str, operation: Elect | Reassign | ConfigChange | Produce) -> None:
        """Carry an operation out and return when it is answered; the trace says when it was refused.

        A step that is repeated before its last answer has come waits for it: one operator does one thing at a time.
        """
        async with self._turns.setdefault(step, asyncio.Lock()):
            await self._do(step, operation)

    async def _do(self, step: str, operation: Elect | Reassign | ConfigChange | Produce) -> None:
        match operation:
            case Elect():
                await self._ask(step, ELECT_LEADERS_KEY, _election(operation), _election_errors)
            case Reassign():
                await self._ask(
                    step, ALTER_PARTITION_REASSIGNMENTS_KEY, self._reassignment(operation), _reassignment_errors
                )
            case ConfigChange():
                request = self._config_change(operation)
                await self._ask(step, INCREMENTAL_ALTER_CONFIGS_KEY, request, _config_errors)
            case Produce():
                await self._produce(step, operation)

    # --- through an admin client -------------------------------------------------------------------

    async def _ask(
        self, step: str, api_key: int, request: Mapping[str, Any], errors: Callable[[Any], list[ErrorCode]]
    ) -> None:
        refusals: list[ErrorCode] = [ErrorCode.REQUEST_TIMED_OUT]

        async def main() -> None:
            refusals[:] = await self._answered(step, api_key, request, errors)

        handle = self._target.spawn_client(f"{step}-operator", main)
        try:
            await asyncio.wait_for(handle.wait(), PATIENCE_S + ANSWER_S)
        except TimeoutError:
            await handle.stop()
        for error in refusals:
            if error not in _WELCOME:
                self._target.emit(LAB, StepEnded(step, f"refused: {error.name}"))

    async def _answered(
        self, client_id: str, api_key: int, request: Mapping[str, Any], errors: Callable[[Any], list[ErrorCode]]
    ) -> list[ErrorCode]:
        """Ask one broker after the other until one answers for good."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + PATIENCE_S
        told = [ErrorCode.REQUEST_TIMED_OUT]
        while loop.time() < deadline_s:
            for address in self._target.bootstrap.split(","):
                try:
                    async with asyncio.timeout(ANSWER_S):
                        told = errors(await _exchange(address, client_id, api_key, request))
                except (OSError, TimeoutError, asyncio.IncompleteReadError):
                    continue
                if not any(error in _PASSING for error in told):
                    return told
            await asyncio.sleep(PAUSE_S)
        return told

    def _reassignment(self, operation: Reassign) -> Mapping[str, Any]:
        partition = TopicPartition.parse(operation.partition)
        replicas = [int(self._target.node_ids[name]) for name in operation.to]
        parts = [{"partition_index": partition.partition, "replicas": replicas}]
        return {"topics": [{"name": partition.topic, "partitions": parts}]}

    def _config_change(self, operation: ConfigChange) -> Mapping[str, Any]:
        kind, name = _TOPIC, operation.topic
        if operation.broker is not None:
            kind, name = _BROKER, str(int(self._target.node_ids[operation.broker]))
        changes = [
            {"name": key, "config_operation": _DELETE if value is None else _SET, "value": value}
            for key, value in operation.set_.items()
        ]
        resource = {"resource_type": kind, "resource_name": name, "configs": changes}
        return {"resources": [resource], "validate_only": False}

    # --- records -----------------------------------------------------------------------------------

    async def _produce(self, step: str, operation: Produce) -> None:
        async def main() -> None:
            producer = make_producer(
                self._target, step, Client(produce=operation.topic, partition=None, acks=operation.acks)
            )
            try:
                await connect(producer, PAUSE_S)
                for number in range(operation.count):
                    await self._send(producer, step, operation, number)
            finally:
                await producer.stop()

        await self._target.spawn_client(step, main).wait()

    async def _send(self, producer: Any, step: str, operation: Produce, number: int) -> None:
        topic, value = operation.topic, f"{step}-{number:06d}"
        counts = {known.name: known.partitions for known in self._target.spec.topics}
        partition = number % counts[topic] if operation.partition is None else operation.partition
        self._target.emit(step, RecordSent(topic, partition, value))
        try:
            told = await producer.send_and_wait(topic, value=value.encode(), partition=partition)
        except ClientError as error:
            self._target.emit(step, RecordUnknown(topic, partition, value, type(error).__name__))
        else:
            offset = -1 if told is None else told.offset
            self._target.emit(step, RecordAcknowledged(topic, partition, value, offset))


async def _exchange(address: str, client_id: str, api_key: int, request: Mapping[str, Any]) -> Any:
    """Send one request to one broker and return its answer."""
    host, _, port = address.rpartition(":")
    version = _VERSIONS[api_key]
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        frame = encode_request(api_key, version, 1, client_id, request)
        writer.write(struct.pack(">i", len(frame)) + frame)
        (size_bytes,) = struct.unpack(">i", await reader.readexactly(4))
        return decode_response(api_key, version, await reader.readexactly(size_bytes))
    finally:
        writer.close()


def _election(operation: Elect) -> Mapping[str, Any]:
    partition = TopicPartition.parse(operation.preferred or operation.unclean or "")
    topics = [{"topic": partition.topic, "partitions": [partition.partition]}]
    return {"election_type": 0 if operation.preferred else 1, "topic_partitions": topics}


def _election_errors(answer: Any) -> list[ErrorCode]:
    own = [answer.error_code] if hasattr(answer, "error_code") else []
    parts = [part.error_code for topic in answer.replica_election_results for part in topic.partition_result]
    return _codes([*own, *parts])


def _reassignment_errors(answer: Any) -> list[ErrorCode]:
    return _codes([answer.error_code, *(part.error_code for topic in answer.responses for part in topic.partitions)])


def _config_errors(answer: Any) -> list[ErrorCode]:
    return _codes([response.error_code for response in answer.responses])


def _codes(codes: list[Any]) -> list[ErrorCode]:
    return [ErrorCode(code) for code in codes]
