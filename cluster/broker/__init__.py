"""Broker: the Kafka API. A listener, a router, and one file for each API, over a narrow context."""

from cluster.broker.context import BrokerContext, BrokerWorld, ControllerPort
from cluster.broker.listener import KafkaListener
from cluster.broker.registry import APIS, Api, api_table
from cluster.broker.share_states import (
    serve_begin_state,
    serve_delete_state,
    serve_read_state,
    serve_write_state,
)
from cluster.broker.transaction_coordinator import PeerPort
from cluster.broker.transaction_requests import serve_add_partitions, serve_write_markers

__all__ = [
    "APIS",
    "Api",
    "BrokerContext",
    "BrokerWorld",
    "ControllerPort",
    "KafkaListener",
    "PeerPort",
    "api_table",
    "serve_add_partitions",
    "serve_begin_state",
    "serve_delete_state",
    "serve_read_state",
    "serve_write_markers",
    "serve_write_state",
]
