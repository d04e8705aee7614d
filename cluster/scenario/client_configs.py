"""Client configs of a scenario: Kafka's own names, and what each is called in aiokafka.

Here: the table and the check. A name that aiokafka has no word for is refused rather than ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.lab.selectors import did_you_mean
from cluster.scenario.schema import Client

PRODUCER_CONFIGS: Mapping[str, tuple[str, type]] = {
    "batch.size": ("max_batch_size", int),
    "compression.type": ("compression_type", str),
    "enable.idempotence": ("enable_idempotence", bool),
    "linger.ms": ("linger_ms", int),
    "max.request.size": ("max_request_size", int),
    "metadata.max.age.ms": ("metadata_max_age_ms", int),
    "request.timeout.ms": ("request_timeout_ms", int),
    "retry.backoff.ms": ("retry_backoff_ms", int),
    "transaction.timeout.ms": ("transaction_timeout_ms", int),
}
"""aiokafka's name and type. Its `request_timeout_ms` is also how long it retries (Kafka's `delivery.timeout.ms`)."""

CONSUMER_CONFIGS: Mapping[str, tuple[str, type]] = {
    "auto.offset.reset": ("auto_offset_reset", str),
    "fetch.max.bytes": ("fetch_max_bytes", int),
    "fetch.max.wait.ms": ("fetch_max_wait_ms", int),
    "fetch.min.bytes": ("fetch_min_bytes", int),
    "isolation.level": ("isolation_level", str),
    "heartbeat.interval.ms": ("heartbeat_interval_ms", int),
    "max.partition.fetch.bytes": ("max_partition_fetch_bytes", int),
    "max.poll.interval.ms": ("max_poll_interval_ms", int),
    "max.poll.records": ("max_poll_records", int),
    "metadata.max.age.ms": ("metadata_max_age_ms", int),
    "request.timeout.ms": ("request_timeout_ms", int),
    "retry.backoff.ms": ("retry_backoff_ms", int),
    "session.timeout.ms": ("session_timeout_ms", int),
}
"""aiokafka's name and type."""


TRANSACTION_CONFIGS: Mapping[str, tuple[str, type]] = {
    name: PRODUCER_CONFIGS[name] for name in ("metadata.max.age.ms", "request.timeout.ms", "retry.backoff.ms")
}
"""What a consumer and a producer both have."""


def _configs_of(client: Client) -> Mapping[str, tuple[str, type]]:
    if client.transact is not None:
        return TRANSACTION_CONFIGS
    return CONSUMER_CONFIGS if client.produce is None else PRODUCER_CONFIGS


def client_arguments(client: Client) -> dict[str, Any]:
    """Return the configs of a client as aiokafka's keyword arguments."""
    table = _configs_of(client)
    arguments: dict[str, Any] = {}
    for name, value in client.config.items():
        word, kind = table[name]
        arguments[word] = value == "true" if kind is bool else kind(value)
    return arguments


def check_client(client: Client, topics: Mapping[str, int]) -> None:
    """Raise ValueError when a client works on no topic of the cluster or has a config that would do nothing."""
    if client.topic not in topics:
        raise ValueError(f"unknown topic {client.topic!r}{did_you_mean(client.topic, topics)}")
    if client.to is not None and topics.get(client.to, 0) < topics[client.topic]:
        raise ValueError(f"to/{client.to}: a copy needs a topic with at least as many partitions as {client.topic}")
    if client.partition is not None and client.partition >= topics[client.topic]:
        raise ValueError(f"{client.topic} has {topics[client.topic]} partitions, counted from 0")
    table = _configs_of(client)
    for name, value in client.config.items():
        if name not in table:
            raise ValueError(f"config/{name}: not a config of this client{did_you_mean(name, table)}")
        kind = table[name][1]
        if kind is bool and value not in ("true", "false"):
            raise ValueError(f"config/{name}: write true or false, not {value!r}")
        if kind is int and not value.isdigit():
            raise ValueError(f"config/{name}: write a whole number, not {value!r}")
    if client.config.get("enable.idempotence") == "true" and client.acks != "all":
        raise ValueError("enable.idempotence needs acks: all")
