"""The levels of features change when an operator asks (KIP-584, KIP-778): UpdateFeatures.

Here: what may be asked for, in Kafka's words (`FeatureControlManager`), and what a new level means for partitions at
once. All updates of a request are made, or none. Not here: the features themselves (`cluster.metadata.features`).
"""

from __future__ import annotations

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode, KafkaError
from cluster.controller.decision import Decision
from cluster.controller.leadership import Records, rules_for
from cluster.controller.partition_change import change_partition
from cluster.metadata import ELR_FEATURE, FEATURES, MetadataImage, apply_batch, elr_is_enabled, feature_level
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE = 1, 2, 3
"""Kafka's `FeatureUpdate.UpgradeType`."""


def update_features(
    image: MetadataImage, configs: Configs, request: rpc.UpdateFeaturesRequest
) -> Decision[rpc.StatusReply]:
    """Set the levels of features. Raises KafkaError with the first thing that is wrong."""
    records: Records = ()
    names = [update.name for update in request.updates]
    for update in request.updates:
        if names.count(update.name) > 1:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{update.name} is updated more than once.")
        _check(image, configs, update)
        if update.level != feature_level(image, configs, update.name):
            record = pb.FeatureLevelRecord(name=update.name, feature_level=update.level)
            records += (pb.MetadataRecord(feature_level=record),)
    if any(record.feature_level.name == ELR_FEATURE for record in records):
        after, _ = apply_batch(image, records, image.offset + 1, image.epoch)
        records += _switch_elr(after, configs)
    return Decision(() if request.validate_only else records, rpc.StatusReply())


def _check(image: MetadataImage, configs: Configs, update: rpc.FeatureUpdate) -> None:
    if update.upgrade_type not in (UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "The controller does not support the given upgrade type.")
    feature = FEATURES.get(update.name)
    problem = ""
    if feature is None:
        problem = f"The cluster does not support this feature, only {', '.join(FEATURES)}."
    elif not feature.oldest <= update.level <= feature.newest:
        problem = f"Supported levels are {feature.oldest} to {feature.newest}."
    else:
        level = feature_level(image, configs, update.name)
        if update.level < level and update.upgrade_type == UPGRADE:
            problem = "Can't downgrade the level of this feature without saying that a downgrade is meant."
        elif update.level > level and update.upgrade_type != UPGRADE:
            problem = f"Can't downgrade to a higher level; it is {level} now."
    if problem:
        raise KafkaError(
            ErrorCode.INVALID_UPDATE_VERSION,
            f"Invalid update version {update.level} for feature {update.name}. {problem}",
        )


def _switch_elr(image: MetadataImage, configs: Configs) -> Records:
    """Say in the other way who has everything, now that the level has changed: `image` has it already.

    Without the ELR the last member stays in the ISR although it is down; with it an ISR holds only who runs.
    """
    is_enabled = elr_is_enabled(image, configs)
    changes = []
    for (topic, number), partition in image.partitions():
        if is_enabled:
            isr = tuple(node for node in partition.isr if image.is_active(node))
        else:
            isr = partition.isr or (*partition.eligible_leader_replicas, *partition.last_known_elr)[:1]
        changes.append(change_partition(number, partition, rules_for(image, configs, topic), isr=isr))
    return tuple(record for record in changes if record is not None)
