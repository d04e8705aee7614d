"""What a handler of the controller returns: what to write, and what to answer once it is written.

Here: the pair, and the facts every handler is given besides the image. Handlers are pure: they read an image
and return a decision. Only `cluster.metadata.apply_batch` changes state, and only when the records are
committed is the reply sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from cluster.base.configs import Configs
from cluster.metadata import MetadataImage
from cluster.rpc import metadata_pb2 as pb

Reply = TypeVar("Reply")


@dataclass(frozen=True, slots=True)
class Decision(Generic[Reply]):
    """Records to commit together or not at all, and the reply that becomes true with them."""

    records: tuple[pb.MetadataRecord, ...]
    reply: Reply


def topic_settings(
    image: MetadataImage, configs: Configs, topic: str, overrides: Mapping[str, str] | None = None
) -> Configs:
    """Return the configs that hold for a topic: its own over the cluster's run-time values over the static ones.

    `overrides` replaces the topic's own values, for a topic that is about to change.
    """
    defaults = Configs({**configs.values, **image.broker_configs(None)})
    return defaults.for_topic(image.topic_configs(topic) if overrides is None else overrides)
