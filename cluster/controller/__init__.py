"""The controller: pure decisions over a metadata image, and the soft state of broker sessions."""

from cluster.controller.brokers import (
    CONTROL_STATES,
    BrokerControlState,
    fence_broker,
    heartbeat,
    register_broker,
    unregister_broker,
)
from cluster.controller.config_changes import DYNAMIC_BROKER_DEFINITIONS, alter_configs
from cluster.controller.decision import Decision, topic_settings
from cluster.controller.feature_changes import update_features
from cluster.controller.isr import alter_partitions
from cluster.controller.leadership import balance_leaders
from cluster.controller.quota_changes import alter_client_quotas
from cluster.controller.reassignments import alter_partition_reassignments
from cluster.controller.requests import allocate_producer_ids, elect_leaders
from cluster.controller.sessions import BrokerSessions
from cluster.controller.topics import check_topic_name, create_partitions, create_topics, delete_topics

__all__ = [
    "CONTROL_STATES",
    "DYNAMIC_BROKER_DEFINITIONS",
    "BrokerControlState",
    "BrokerSessions",
    "Decision",
    "allocate_producer_ids",
    "alter_client_quotas",
    "alter_configs",
    "alter_partition_reassignments",
    "alter_partitions",
    "balance_leaders",
    "check_topic_name",
    "create_partitions",
    "create_topics",
    "delete_topics",
    "elect_leaders",
    "fence_broker",
    "heartbeat",
    "register_broker",
    "topic_settings",
    "unregister_broker",
    "update_features",
]
