"""Which ports a local cluster listens on: those that were asked for, or free ones.

Free ports are taken from below the range from which systems lend ports to outgoing connections: a port within it may
be free now and lent a moment later. They stay the cluster's while a node is down: another cluster finds them taken.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

from cluster.lab.errors import USAGE, LabError
from cluster.lab.target import ClusterSpec, NodeAddress

_FREE_PORT_FIRST = 20_000
_FREE_PORT_LAST = 32_000
_PORT_MAX = 65_535
_ATTEMPTS_MAX = 1000


def assign_addresses(spec: ClusterSpec, host: str, first_kafka_port: int) -> Mapping[str, NodeAddress]:
    """Give every node its ports: brokers' Kafka ports count up from the first, or are free ones when it is 0.

    Raises LabError when a port that was asked for is taken, and (usage) when it is none.
    """
    _check_range(first_kafka_port, len(spec.brokers))
    rng = random.Random(os.urandom(8))
    given: list[int] = []
    addresses = {}
    brokers = [broker.name for broker in spec.brokers]
    for name in spec.node_names:
        kafka_port = 0
        if name in brokers:
            kafka_port = first_kafka_port + brokers.index(name) if first_kafka_port else _free_port(host, rng, given)
            _check_port(host, kafka_port, name)
            given.append(kafka_port)
        rpc_port = _free_port(host, rng, given)
        given.append(rpc_port)
        addresses[name] = NodeAddress(host, rpc_port, kafka_port)
    return addresses


def bootstrap_servers(spec: ClusterSpec, addresses: Mapping[str, NodeAddress]) -> str:
    """Return Kafka's `bootstrap.servers` of a cluster."""
    first = [addresses[broker.name] for broker in spec.brokers if not broker.joins_later]
    return ",".join(f"{address.host}:{address.kafka_port}" for address in first)


class HeldPorts:
    """A cluster's ports, bound beside the nodes that listen on them, so that nobody else is given them.

    Linux lets several sockets that all say SO_REUSEADDR bind an address as long as only one listens. Other systems do
    not: nothing is held there, and a node that restarts may find that its port was given away.
    """

    def __init__(self, addresses: Mapping[str, NodeAddress]) -> None:
        self._sockets: list[socket.socket] = []
        if sys.platform.startswith("linux"):
            for address in addresses.values():
                for port in filter(None, (address.kafka_port, address.rpc_port)):
                    self._hold(address.host, port)

    def _hold(self, host: str, port: int) -> None:
        held = socket.socket()
        self._sockets.append(held)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken since it was assigned: the node that wants to listen says so
            held.bind((host, port))

    def close(self) -> None:
        """Let others have them."""
        for held in self._sockets:
            held.close()


def _free_port(host: str, rng: random.Random, given: list[int]) -> int:
    for _ in range(_ATTEMPTS_MAX):
        port = rng.randrange(_FREE_PORT_FIRST, _FREE_PORT_LAST)
        if port not in given and _bind_error(host, port, reuse=False) is None:
            return port
    cause = f"No free port was found between {_FREE_PORT_FIRST} and {_FREE_PORT_LAST}."
    raise LabError(cause, "Stop some of the processes that listen there.")


def _check_range(first: int, count: int) -> None:
    if first == 0 or 1 <= first <= _PORT_MAX + 1 - count:
        return
    cause = f"Ports end at {_PORT_MAX}: {count} of them cannot begin at {first}."
    raise LabError(cause, f"Choose --port between 1 and {_PORT_MAX + 1 - count}, or 0 for any.", USAGE)


def _check_port(host: str, port: int, name: str) -> None:
    error = _bind_error(host, port, reuse=True)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        reason = "the address is taken"
        remedy = "Stop the process that has it (`fencepost down`, if it is a cluster of yours), or choose --port"
    else:
        reason = error.strerror or str(error)
        remedy = "Choose another --port"
    raise LabError(f"{name} cannot listen on {host}:{port}: {reason}.", f"{remedy}, 0 for any.")


def _bind_error(host: str, port: int, *, reuse: bool) -> OSError | None:
    """Return why nobody can listen there. `reuse`: where only connections that have ended are left, one can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            probe.bind((host, port))
            probe.listen(1)  # Linux lets two sockets bind with SO_REUSEADDR, but only one listen
        except OSError as error:
            return error
    return None
