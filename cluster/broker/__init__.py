"""Broker: the Kafka API. A listener, a router, and one file for each API, over a narrow context."""

from cluster.broker.context import BrokerContext, BrokerWorld, ControllerPort
from cluster.broker.listener import KafkaListener
from cluster.broker.registry import APIS, Api, api_table, preload

__all__ = [
    "APIS",
    "Api",
    "BrokerContext",
    "BrokerWorld",
    "ControllerPort",
    "KafkaListener",
    "api_table",
    "preload",
]
