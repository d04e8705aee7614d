"""Features whose level the whole cluster agrees on (KIP-584): which there are, and at which level they are.

Here: the table, and the level in force: what UpdateFeatures wrote, else what the cluster began with. Not here: what a
level changes (each room asks for the level it needs), or which change is allowed (`cluster.controller`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.base.configs import Configs
from cluster.metadata.image import MetadataImage

ELR_FEATURE = "eligible.leader.replicas.version"

GROUP_FEATURE = "group.version"


@dataclass(frozen=True, slots=True)
class Feature:
    """The levels of a feature that this version knows, both included; a new cluster begins with `initial`."""

    oldest: int
    newest: int
    initial: int


FEATURES: Mapping[str, Feature] = {
    # Kafka's 4.0-IV3: there is one form of the metadata records, so there is nothing to choose.
    "metadata.version": Feature(25, 25, 25),
    # KIP-966. A cluster that was started with eligible.leader.replicas.enable=false begins with 0.
    ELR_FEATURE: Feature(0, 1, 1),
    # KIP-848: at 0 the brokers coordinate classic groups only.
    GROUP_FEATURE: Feature(0, 1, 1),
    # KIP-890. It is for clients to read: from 2 on their producers change their epoch with every transaction.
    "transaction.version": Feature(0, 2, 2),
}


def feature_level(image: MetadataImage, configs: Configs, name: str) -> int:
    """Return the level of a feature that is in force; 0 means off."""
    level = image.features.get(name)
    if level is not None:
        return level
    if name == ELR_FEATURE and not configs.flag("eligible.leader.replicas.enable"):
        return 0
    return FEATURES[name].initial


def elr_is_enabled(image: MetadataImage, configs: Configs) -> bool:
    """Whether replicas that left the ISR with everything committed are remembered (KIP-966)."""
    return feature_level(image, configs, ELR_FEATURE) >= 1
