"""`fencepost node`, as a container runs it: one process, told what it is by its environment."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml
from command_line import COMMAND, ROOT, SOON_S, eventually
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cluster.cli import _run as command_line
from cluster.lab.addresses import assign_addresses
from cluster.lab.target import numbered_cluster


@pytest.mark.live
def test_a_node_advertises_what_clients_can_reach_and_stops_in_good_order(tmp_path: Path) -> None:
    address = assign_addresses(numbered_cluster(1, 1, combined=True), "127.0.0.1", 0)["b1"]
    settings = {
        "NODE_ID": "1",
        "CLUSTER_ID": "ZmVuY2Vwb3N0LXRlc3RpbmcK",
        "ROLES": "broker,controller",
        "HOST": "127.0.0.1",
        "BIND_HOST": "0.0.0.0",
        "ADVERTISED_HOST": "localhost",
        "VOTERS": f"1@127.0.0.1:{address.rpc_port}",
        "PORT": str(address.kafka_port),
        "RPC_PORT": str(address.rpc_port),
        "DATA_DIR": str(tmp_path / "data"),
        "CONFIG": "default.replication.factor=1",
    }
    environment = {**os.environ, "PYTHONPATH": str(ROOT)} | {f"FENCEPOST_{key}": text for key, text in settings.items()}
    with subprocess.Popen([*COMMAND, "node"], env=environment, stderr=subprocess.PIPE, text=True) as node:
        client = AdminClient({"bootstrap.servers": f"127.0.0.1:{address.kafka_port}", "log_level": 0})

        def advertised() -> list[tuple[str, int]]:
            assert node.poll() is None
            try:
                return [(broker.host, broker.port) for broker in client.list_topics(timeout=1).brokers.values()]
            except KafkaException:  # it does not listen yet
                return []

        eventually(lambda: advertised() == [("localhost", address.kafka_port)])
        node.send_signal(signal.SIGTERM)
        _, said = node.communicate(timeout=SOON_S)
    assert node.returncode == 0, said
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()


@pytest.mark.parametrize(
    "wrong", [("--voters", "one@h:1"), ("--voters", "1@h"), ("--names", "b1=1"), ("--roles", "king")]
)
def test_a_setting_that_cannot_be_understood_is_a_usage_error(wrong: tuple[str, str]) -> None:
    settings = {"--node-id": "1", "--cluster-id": "x", "--voters": "1@h:1", "--host": "h"} | dict([wrong])
    assert command_line(["node", *(word for setting in settings.items() for word in setting)]) == 2


def test_every_setting_in_the_compose_file_is_one_of_the_command() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert sorted(services) == ["b1", "b2", "b3", "c1", "c2", "c3"]
    source = (ROOT / "cluster" / "cli" / "node.py").read_text()
    for name, service in services.items():
        settings = service["environment"]
        assert [each for each in settings if f'envvar="{each}"' not in source] == []
        assert settings["FENCEPOST_NAME"] == settings["FENCEPOST_HOST"] == name
        ports = service.get("ports", [])
        assert all(port.endswith(f":{settings['FENCEPOST_PORT']}:{settings['FENCEPOST_PORT']}") for port in ports)
        assert len(ports) == (1 if name.startswith("b") else 0)
