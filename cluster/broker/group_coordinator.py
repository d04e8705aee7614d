"""The group coordinator of a broker: the groups whose partition of `__consumer_offsets` it leads.

Here: the coordinator put together, and what groups have to know of the configs. Not here: how shards live
(`cluster.broker.coordinator`), what groups decide (`cluster.groups`).
"""

from __future__ import annotations

from cluster.base.configs import Configs
from cluster.broker.coordinator import CONSUMER_OFFSETS, CoordinatorHost, CoordinatorRuntime
from cluster.groups import GroupShard, Settings, Topics
from cluster.metadata import MetadataImage


class GroupCoordinator(CoordinatorRuntime[GroupShard]):
    """All groups that this broker coordinates."""

    def __init__(self, host: CoordinatorHost) -> None:
        settings = settings_of(host.configs)
        super().__init__(host, CONSUMER_OFFSETS, lambda: GroupShard(settings, host.tracer, lambda: self._topics))
        self._topics = Topics(host.image())

    def image_changed(self, image: MetadataImage) -> None:
        """The same; and the offsets of topics that are gone go with them."""
        before = self._image
        is_same = before is not None and before.topics is image.topics
        self._topics = Topics(image, self._topics.version + (not is_same))
        super().image_changed(image)
        if is_same or before is None:
            return
        gone = tuple(name for name in before.topics if name not in image.topics)
        if gone:
            self.tell_all(lambda shard: shard.forget_topics(gone))


def settings_of(configs: Configs) -> Settings:
    """Return what groups have to know of a broker's configs."""
    return Settings(
        initial_rebalance_delay_ms=configs.integer("group.initial.rebalance.delay.ms"),
        session_timeout_ms_min=configs.integer("group.min.session.timeout.ms"),
        session_timeout_ms_max=configs.integer("group.max.session.timeout.ms"),
        members_max=configs.integer("group.max.size"),
        offset_metadata_bytes_max=configs.integer("offset.metadata.max.bytes"),
        offsets_retention_ms=configs.integer("offsets.retention.minutes") * 60_000,
        offsets_retention_check_ms=configs.integer("offsets.retention.check.interval.ms"),
        consumer_session_timeout_ms=configs.integer("group.consumer.session.timeout.ms"),
        consumer_session_timeout_ms_min=configs.integer("group.consumer.min.session.timeout.ms"),
        consumer_session_timeout_ms_max=configs.integer("group.consumer.max.session.timeout.ms"),
        consumer_heartbeat_interval_ms=configs.integer("group.consumer.heartbeat.interval.ms"),
        consumer_heartbeat_interval_ms_min=configs.integer("group.consumer.min.heartbeat.interval.ms"),
        consumer_heartbeat_interval_ms_max=configs.integer("group.consumer.max.heartbeat.interval.ms"),
        consumers_max=configs.integer("group.consumer.max.size"),
        assignors=tuple(configs.text("group.consumer.assignors").split(",")),
        share_session_timeout_ms=configs.integer("group.share.session.timeout.ms"),
        share_heartbeat_interval_ms=configs.integer("group.share.heartbeat.interval.ms"),
        share_session_timeout_ms_min=configs.integer("group.share.min.session.timeout.ms"),
        share_session_timeout_ms_max=configs.integer("group.share.max.session.timeout.ms"),
        share_heartbeat_interval_ms_min=configs.integer("group.share.min.heartbeat.interval.ms"),
        share_heartbeat_interval_ms_max=configs.integer("group.share.max.heartbeat.interval.ms"),
        share_members_max=configs.integer("group.share.max.size"),
        migration_policy=configs.text("group.consumer.migration.policy"),
    )
