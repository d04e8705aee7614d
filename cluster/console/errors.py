"""How a tool fails: with a cause and a remedy, exit code 2 when it was asked wrongly, 1 when it could not do it.

Here: the two kinds of failure, and what librdkafka's errors become.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from cluster.lab.errors import USAGE, LabError

FAILED = 1

_REMEDIES = {
    "_TIMED_OUT": "Is a broker listening there? `fencepost ps` shows the addresses.",
    "_TRANSPORT": "Is a broker listening there? `fencepost ps` shows the addresses.",
    "_ALL_BROKERS_DOWN": "Is a broker listening there? `fencepost ps` shows the addresses.",
    "UNKNOWN_TOPIC_OR_PART": "`fencepost topics --list` shows the topics there are.",
    "TOPIC_ALREADY_EXISTS": "With --if-not-exists that is no error.",
    "INVALID_CONFIG": "`fencepost configs --describe --all` with --topic, --broker or --group shows what there is.",
    "COORDINATOR_NOT_AVAILABLE": "Try again when the brokers have elected a leader for the coordinator's partition.",
    "NON_EMPTY_GROUP": "Stop the group's consumers first.",
    "NOT_ENOUGH_REPLICAS": "Too few replicas are in sync for min.insync.replicas: see `fencepost topics --describe`.",
}


def usage(cause: str, remedy: str) -> LabError:
    """Return the error for a command line that cannot be understood."""
    return LabError(cause, remedy, USAGE)


def failure(cause: str, remedy: str) -> LabError:
    """Return the error for what was asked rightly and could not be done."""
    return LabError(cause, remedy, FAILED)


@contextmanager
def kafka_errors(doing: str, remedies: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn confluent-kafka's exceptions into failures, told as `doing`: reason.

    `remedies` by the error's name go before the general ones: whoever asks may know more of what to do.
    """
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        reason = error.args[0]
        text = reason.str() if hasattr(reason, "str") else str(reason)
        name = reason.name() if hasattr(reason, "name") else ""
        raise failure(f"{doing}: {text}", (remedies or {}).get(name) or remedy_for(name)) from error


def remedy_for(error_name: str) -> str:
    """Return what to do about an error of librdkafka or of a broker, by its name."""
    return _REMEDIES.get(error_name, "`fencepost ps` shows the cluster, `fencepost logs` what the brokers say.")
