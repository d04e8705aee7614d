"""What the lab asks controllers about topics, and which of their refusals pass: the same over any channel.

Here: the request and the judgement of its status. Not here: sending (`node_calls`, `sim_target`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.base.errors import ErrorCode
from cluster.lab.errors import LabError
from cluster.lab.target import TopicSpec
from cluster.rpc import controller_pb2

_PASSING = (ErrorCode.NOT_CONTROLLER, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NETWORK_EXCEPTION)
"""What a controller may answer while another takes over: the call is sent again."""


def create_topics_request(topics: Sequence[TopicSpec]) -> controller_pb2.CreateTopicsRequest:
    """Return the request that creates these topics."""
    return controller_pb2.CreateTopicsRequest(topics=[_new_topic(topic) for topic in topics])


def raise_unless_passing(status: controller_pb2.Status) -> None:
    """Raise LabError when a controller refuses a whole request for a reason that asking again does not change."""
    error = ErrorCode(status.error_code)
    if error not in _PASSING:
        cause = f"The controller refuses: {error.name} {status.error_message}".rstrip()
        raise LabError(f"{cause}.", "Its log says more; `fencepost ps` shows who is the active controller.")


def _new_topic(topic: TopicSpec) -> controller_pb2.NewTopic:
    configs = [controller_pb2.ConfigEntry(name=name, value=value) for name, value in topic.configs.items()]
    return controller_pb2.NewTopic(
        name=topic.name, partitions=topic.partitions, replication_factor=topic.replication_factor, configs=configs
    )
