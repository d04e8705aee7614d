"""The ports of nodes that are down: their cluster's, and nobody else's."""

from __future__ import annotations

import socket
import sys

import pytest

from cluster.lab import addresses
from cluster.lab.addresses import HeldPorts, assign_addresses
from cluster.lab.errors import LabError
from cluster.lab.target import numbered_cluster

HOST = "127.0.0.1"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets ports be held")


def test_a_node_listens_on_its_held_port_again_and_again() -> None:
    given = assign_addresses(numbered_cluster(1, 1, combined=True), HOST, 0)
    held = HeldPorts(given)
    where = (HOST, given["b1"].kafka_port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where)
    for _ in range(2):
        with socket.create_server(where) as node, socket.create_connection(where) as client:
            accepted, _ = node.accept()
            accepted.close()  # first, so that the port is left with a connection that has ended
            assert client.recv(1) == b""
    held.close()


def test_no_other_cluster_is_given_a_held_port(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = numbered_cluster(1, 1, combined=True)
    given = assign_addresses(spec, HOST, 0)
    ports = sorted((given["b1"].kafka_port, given["b1"].rpc_port))
    held = HeldPorts(given)
    monkeypatch.setattr(addresses, "_FREE_PORT_FIRST", ports[0])
    monkeypatch.setattr(addresses, "_FREE_PORT_LAST", ports[0] + 1)
    with pytest.raises(LabError, match="No free port"):
        assign_addresses(spec, HOST, ports[1])
    held.close()
    assert assign_addresses(spec, HOST, ports[1])["b1"].rpc_port == ports[0]
