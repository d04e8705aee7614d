"""UpdateFeatures (API 57), versions 0 to 2: raise or lower the levels of cluster-wide features (KIP-584, KIP-778).

All updates are made, or none: an error is the whole request's, and before version 2 each feature's as well. Version 0
only says whether a downgrade is allowed. The active controller decides. The reply is sent when this broker has applied
the new levels (departure: Kafka does not wait for the broker).
"""

from __future__ import annotations

from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import ask_controller, milliseconds, until_applied
from cluster.metadata import feature_level
from cluster.rpc import controller_pb2
from cluster.wire import Fields, Message

UPGRADE, SAFE_DOWNGRADE = 1, 2


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Ask the controller for other levels."""
    wanted = {update.feature: update.max_version_level for update in message.feature_updates}
    validate_only = getattr(message, "validate_only", False)
    request = controller_pb2.UpdateFeaturesRequest(
        updates=[
            controller_pb2.FeatureUpdate(
                name=update.feature, level=update.max_version_level, upgrade_type=_upgrade_type(update)
            )
            for update in message.feature_updates
        ],
        validate_only=validate_only,
    )
    error, text = ErrorCode.NONE, None
    try:
        await ask_controller(context, "UpdateFeatures", request, milliseconds(message.timeout))
        if not validate_only:
            await until_applied(
                context,
                lambda image: all(feature_level(image, context.configs, name) == wanted[name] for name in wanted),
                milliseconds(message.timeout),
            )
    except KafkaError as refusal:
        error, text = refusal.code, refusal.message
    reply: dict[str, object] = {"error_code": error, "error_message": text}
    if version < 2:
        reply["results"] = [{"feature": name, "error_code": error, "error_message": text} for name in wanted]
    return reply


def _upgrade_type(update: Message) -> int:
    if hasattr(update, "upgrade_type"):
        return int(update.upgrade_type)
    return SAFE_DOWNGRADE if update.allow_downgrade else UPGRADE
