"""A broker that passes for an older release of Kafka: what it lists is what it serves, and nothing newer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from kafka.protocol.broker_version_data import BROKER_API_VERSIONS
from lone_broker import LoneBroker, on_broker, turns

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.kafka_releases import RELEASES, newest_version
from cluster.broker.registry import APIS, served_apis

API_VERSIONS, METADATA, FETCH = 18, 3, 1


def observed(release: str) -> dict[int, tuple[int, int]]:
    """What a real broker of a release lists, as another client's authors have written it down."""
    found: dict[int, tuple[int, int]] = BROKER_API_VERSIONS[tuple(int(part) for part in release.split("."))]
    return found


@pytest.mark.parametrize("release", RELEASES)
def test_no_api_is_newer_than_the_releases_own(release: str) -> None:
    real = observed(release)
    served = served_apis(release)
    for api in APIS:
        oldest, newest = real.get(api.key, (0, -1))
        if newest < api.oldest:
            assert api.key not in served, f"{api.name} was not there yet"
        else:
            assert served[api.key].newest == min(newest, api.newest), api.name
            assert served[api.key].oldest == api.oldest >= oldest or release >= "4.0", api.name


def test_versions_only_grow() -> None:
    for api in APIS:
        versions = [newest_version(api.key, release) for release in RELEASES]
        known = [version for version in versions if version is not None]
        assert known == sorted(known) and versions[len(versions) - len(known) :] == known, api.name


@pytest.mark.parametrize(("release", "version"), [("0.11", 0), ("2.0", 2), ("2.8", 3), ("4.0", 4)])
def test_the_list_is_what_clients_are_told(release: str, version: int) -> None:
    async def run(broker: LoneBroker) -> None:
        names = {} if version < 3 else {"client_software_name": "a", "client_software_version": "1"}
        reply = await broker.client().ask(API_VERSIONS, version, names)
        told = {row.api_key: row.max_version for row in reply.api_keys}
        assert told == {key: api.newest for key, api in served_apis(release).items()}
        assert bool(getattr(reply, "finalized_features", ())) is (release == "4.0")

    on_broker(run, {"fencepost.as.version": release})


def test_a_client_of_the_future_is_told_what_to_ask() -> None:
    async def run(broker: LoneBroker) -> None:
        client = broker.client()
        client.send(API_VERSIONS, 3, {"client_software_name": "a", "client_software_version": "1"})
        await turns()
        raw = bytes(client.transport.written)
        assert int.from_bytes(raw[8:10], "big") == ErrorCode.UNSUPPORTED_VERSION

    on_broker(run, {"fencepost.as.version": "2.0"})


def test_what_is_not_listed_is_not_served() -> None:
    async def run(broker: LoneBroker) -> None:
        broker.add_topic("orders")
        asked: dict[str, Any] = {"topics": None, "allow_auto_topic_creation": False}
        assert (await broker.client().ask(METADATA, 6, asked)).topics
        client = broker.client()
        client.send(METADATA, 7, asked)
        assert client.transport.is_closed
        client = broker.client()
        fetch = {"max_wait": timedelta(0), "min_bytes": 0, "max_bytes": 1, "topics": []}
        client.send(FETCH, 9, fetch)
        assert client.transport.is_closed

    on_broker(run, {"fencepost.as.version": "2.0"})


def test_a_release_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(KafkaError, match=r"0\.11, 1\.0"):
        on_broker(_nothing, {"fencepost.as.version": "2"})


async def _nothing(_: LoneBroker) -> None:
    """Never runs."""
