"""The configs of one group (KIP-1043): set on the group itself, over those of its coordinator.

Here: which there are, and that they stay within the coordinator's bounds, as in Kafka, where the bounds may have been
changed since. Not here: how they are set (`cluster.controller.config_changes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cluster.groups.decision import Settings


def settings_for(settings: Settings, own: Mapping[str, str]) -> Settings:
    """Return the settings that hold for a group with configs of its own."""
    if not own:
        return settings
    return replace(
        settings,
        consumer_session_timeout_ms=_bounded(
            own.get("consumer.session.timeout.ms"),
            settings.consumer_session_timeout_ms,
            settings.consumer_session_timeout_ms_min,
            settings.consumer_session_timeout_ms_max,
        ),
        consumer_heartbeat_interval_ms=_bounded(
            own.get("consumer.heartbeat.interval.ms"),
            settings.consumer_heartbeat_interval_ms,
            settings.consumer_heartbeat_interval_ms_min,
            settings.consumer_heartbeat_interval_ms_max,
        ),
        share_session_timeout_ms=_bounded(
            own.get("share.session.timeout.ms"),
            settings.share_session_timeout_ms,
            settings.share_session_timeout_ms_min,
            settings.share_session_timeout_ms_max,
        ),
        share_heartbeat_interval_ms=_bounded(
            own.get("share.heartbeat.interval.ms"),
            settings.share_heartbeat_interval_ms,
            settings.share_heartbeat_interval_ms_min,
            settings.share_heartbeat_interval_ms_max,
        ),
    )


def _bounded(own: str | None, default: int, least: int, most: int) -> int:
    return default if own is None else max(least, min(int(own), most))
