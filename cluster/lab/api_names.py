"""Names of what travels over a cluster's links: RPCs between nodes, and Kafka's APIs.

Here: which there are, and the complaint about one that there is not. Some names are of both kinds: `Fetch` is a
follower's and a consumer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cluster.base.errors import ErrorCode
from cluster.lab.selectors import did_you_mean


@lru_cache(maxsize=1)
def rpc_names() -> tuple[str, ...]:
    """Return the methods of all services between nodes; the lab's own calls are held by no rule."""
    from cluster.rpc import controller_pb2, raft_pb2, replication_pb2, sharing_pb2, transactions_pb2

    services = [
        service
        for file in (controller_pb2, raft_pb2, replication_pb2, sharing_pb2, transactions_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
    ]
    return tuple(method.name for service in services for method in service.methods)


@lru_cache(maxsize=1)
def kafka_names() -> tuple[str, ...]:
    """Return the Kafka APIs that brokers serve."""
    from cluster.broker.registry import APIS

    return tuple(api.name for api in APIS)


def check_apis(names: Sequence[str], *, requests_only: bool = False) -> None:
    """Raise ValueError for a name that nothing has; `requests_only` leaves RPCs between nodes out."""
    known = kafka_names() if requests_only else (*rpc_names(), *kafka_names())
    for name in names:
        if name not in known:
            raise ValueError(f"unknown API {name!r}{did_you_mean(name, known)}")


def check_error(name: str | None) -> None:
    """Raise ValueError for a name that no error of Kafka has."""
    known = [code.name for code in ErrorCode]
    if name is not None and name not in known:
        raise ValueError(f"unknown error {name!r}{did_you_mean(name, known)}")
