"""UpdateFeatures: what is refused, and that nobody who has everything is forgotten when the ELR goes or comes."""

from __future__ import annotations

from random import Random

import pytest
from cluster_images import ELR_OFF, ELR_ON, SmallCluster, broken_invariants, configs

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.controller import fence_broker, update_features
from cluster.metadata import ELR_FEATURE, MetadataImage, elr_is_enabled, read_snapshot, write_snapshot
from cluster.rpc import controller_pb2 as rpc

UPGRADE, DOWNGRADE = 1, 2


def update(cluster: SmallCluster, level: int, kind: int, name: str = ELR_FEATURE, validate_only: bool = False) -> None:
    updates = [rpc.FeatureUpdate(name=name, level=level, upgrade_type=kind)]
    request = rpc.UpdateFeaturesRequest(updates=updates, validate_only=validate_only)
    cluster.commit(update_features(cluster.image, cluster.configs, request))


@pytest.mark.parametrize(
    ("name", "level", "kind", "error"),
    [
        ("no.such.version", 1, UPGRADE, ErrorCode.INVALID_UPDATE_VERSION),
        (ELR_FEATURE, 2, UPGRADE, ErrorCode.INVALID_UPDATE_VERSION),
        (ELR_FEATURE, -1, DOWNGRADE, ErrorCode.INVALID_UPDATE_VERSION),
        (ELR_FEATURE, 0, UPGRADE, ErrorCode.INVALID_UPDATE_VERSION),
        (ELR_FEATURE, 0, 0, ErrorCode.INVALID_REQUEST),
        ("metadata.version", 24, DOWNGRADE, ErrorCode.INVALID_UPDATE_VERSION),
    ],
)
def test_levels_that_do_not_exist_and_downgrades_by_mistake_are_refused(
    name: str, level: int, kind: int, error: ErrorCode
) -> None:
    with pytest.raises(KafkaError) as refusal:
        update(SmallCluster(), level, kind, name)
    assert refusal.value.code is error


def test_one_wrong_update_stops_all_of_the_request() -> None:
    cluster = SmallCluster()
    updates = [
        rpc.FeatureUpdate(name=ELR_FEATURE, level=0, upgrade_type=DOWNGRADE),
        rpc.FeatureUpdate(name="metadata.version", level=1, upgrade_type=DOWNGRADE),
    ]
    with pytest.raises(KafkaError):
        update_features(cluster.image, cluster.configs, rpc.UpdateFeaturesRequest(updates=updates))
    updates[1] = updates[0]
    with pytest.raises(KafkaError):
        update_features(cluster.image, cluster.configs, rpc.UpdateFeaturesRequest(updates=updates))


def leaderless(settings: object) -> SmallCluster:
    """A partition all of whose replicas are down; 3 went last."""
    cluster = SmallCluster(settings)  # type: ignore[arg-type]
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3), min_insync_replicas="1")
    for node in (1, 2, 3):
        cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(node)))
    assert cluster.partition().leader == NO_NODE
    return cluster


def test_the_last_in_sync_replica_is_remembered_when_the_elr_is_switched_off_and_on() -> None:
    cluster = leaderless(ELR_ON)
    assert (cluster.partition().isr, cluster.partition().eligible_leader_replicas) == ((), (3,))
    update(cluster, 0, DOWNGRADE)
    assert (cluster.partition().isr, cluster.partition().eligible_leader_replicas) == ((3,), ())
    cluster.heartbeat(1)
    assert cluster.partition().leader == NO_NODE, "1 may lack what was committed"
    update(cluster, 1, UPGRADE)
    assert (cluster.partition().isr, cluster.partition().eligible_leader_replicas) == ((), (3,))
    cluster.heartbeat(3)
    assert cluster.partition().leader == 3


def test_a_level_survives_in_a_snapshot_and_wins_over_the_config() -> None:
    cluster = SmallCluster(ELR_OFF)
    cluster.add_brokers(1)
    assert not elr_is_enabled(cluster.image, ELR_OFF)
    update(cluster, 1, UPGRADE)
    image = read_snapshot(write_snapshot(cluster.image), cluster.image.offset, cluster.image.epoch)
    assert elr_is_enabled(image, ELR_OFF) and not elr_is_enabled(MetadataImage.empty("c"), ELR_OFF)


@pytest.mark.parametrize("seed", range(10))
def test_no_switch_breaks_an_invariant(seed: int) -> None:
    rng = Random(seed)
    cluster = SmallCluster(configs(min_insync_replicas="2"), seed)
    cluster.add_brokers(1, 2, 3)
    for number in range(4):
        cluster.create(f"t{number}", (1, 2, 3), (3, 1, 2), min_insync_replicas=str(number % 3 + 1))
    for _ in range(60):
        node = NodeId(rng.choice((1, 2, 3)))
        choice = rng.randrange(3)
        if choice == 0 and not cluster.image.brokers[node].fenced:
            cluster.apply(fence_broker(cluster.image, cluster.configs, node))
        elif choice == 1:
            cluster.heartbeat(node)
        else:
            is_on = elr_is_enabled(cluster.image, cluster.configs)
            update(cluster, 0 if is_on else 1, DOWNGRADE if is_on else UPGRADE)
        enabled = str(elr_is_enabled(cluster.image, cluster.configs)).lower()
        now = configs(min_insync_replicas="2", eligible_leader_replicas_enable=enabled)
        assert broken_invariants(cluster.image, now) == []
