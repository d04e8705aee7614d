"""ApiVersions (API 18), versions 0 to 4: which APIs this broker serves, in which versions.

The list is made from the registry, and is shorter when the broker passes for an older release. From version 3 on the
client gives its name and version, which must be made of letters, digits, dots and dashes (KIP-511), else
INVALID_REQUEST. The response's header never has tagged fields. An unknown version is answered in version 0 (see
`router`). Features (KIP-584): those that may be at level 0 are told from version 4 on only, which older Java clients
could not read; a feature at level 0 is not finalized.

Produce is listed from version 0 on, as Kafka 4 does (KAFKA-18659), though older requests than the registry's are
refused: older librdkafka (its issue 4956) writes gzip, snappy and lz4 uncompressed to a broker that does not say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from cluster.base.errors import ErrorCode
from cluster.base.kafka_releases import has_features
from cluster.broker.context import BrokerContext
from cluster.broker.request import Handler
from cluster.metadata import FEATURES, feature_level
from cluster.wire import API_VERSIONS_KEY, Fields, Message, encode_response

_PRODUCE_KEY = 0
_PRODUCE_LISTED_FROM = 0

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


class Listed(Protocol):
    """What the registry knows of an API."""

    @property
    def key(self) -> int: ...
    @property
    def oldest(self) -> int: ...
    @property
    def newest(self) -> int: ...


def handler_of(apis: Callable[[str], Sequence[Listed]]) -> Handler:
    """Return the handler that lists the APIs of a release; they are asked for late, as this API is one of them."""

    def handle(context: BrokerContext, version: int, message: Message) -> Fields:
        if version >= 3 and not (
            _SOFTWARE.fullmatch(message.client_software_name) and _SOFTWARE.fullmatch(message.client_software_version)
        ):
            return {"error_code": ErrorCode.INVALID_REQUEST}
        api_keys = [_range(api.key, _listed_from(api), api.newest) for api in apis(context.as_release)]
        if context.as_release and not has_features(context.as_release):
            return {"api_keys": api_keys}
        image = context.image()
        levels = {name: feature_level(image, context.configs, name) for name in sorted(FEATURES)}
        return {
            "api_keys": api_keys,
            "supported_features": [
                {"name": name, "min_version": feature.oldest, "max_version": feature.newest}
                for name, feature in sorted(FEATURES.items())
                if version >= 4 or feature.oldest > 0
            ],
            "finalized_features_epoch": image.offset,
            "finalized_features": [
                {"name": name, "max_version_level": level, "min_version_level": level}
                for name, level in levels.items()
                if level > 0
            ],
        }

    return handle


def unsupported_version_response(oldest: int, newest: int) -> bytes:
    """Return the body, in version 0, that tells a client of the future how to ask again."""
    reply = {
        "error_code": ErrorCode.UNSUPPORTED_VERSION,
        "api_keys": [_range(API_VERSIONS_KEY, oldest, newest)],
    }
    return encode_response(API_VERSIONS_KEY, 0, reply)


def _listed_from(api: Listed) -> int:
    return _PRODUCE_LISTED_FROM if api.key == _PRODUCE_KEY else api.oldest


def _range(key: int, oldest: int, newest: int) -> Fields:
    return {"api_key": key, "min_version": oldest, "max_version": newest}
