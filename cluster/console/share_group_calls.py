"""What the `share-groups` command asks the brokers: the client library has no calls for share groups yet.

Here: finding coordinators, and one call for each request. Not here: the command line, columns (`share_group_text`), and
what any client can ask of topics (`group_calls`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.console.errors import failure
from cluster.console.group_text import Listing, Place
from cluster.console.protocol_client import Node, ProtocolClient, check
from cluster.console.share_group_text import DescribedShareGroup, ShareMember, ShareStart
from cluster.wire import Fields

FIND_COORDINATOR, LIST_GROUPS, DELETE_GROUPS, DESCRIBE = 10, 16, 42, 77
DESCRIBE_OFFSETS, ALTER_OFFSETS, DELETE_OFFSETS = 90, 91, 92
SHARE = "share"
DOING = "Executing share group command failed"

_GROUP_KEY = 0


class ShareGroupCalls:
    """Calls that wait for the answer. All of them raise LabError."""

    def __init__(self, client: ProtocolClient) -> None:
        self._client = client
        self._nodes = {node.node_id: node for node in client.nodes()}

    def listings(self) -> list[Listing]:
        """Return all share groups, by name."""
        found = []
        for node in self._nodes.values():
            answer = self._client.ask_node(node, LIST_GROUPS, {"states_filter": (), "types_filter": (SHARE,)})
            check(answer.error_code, None, DOING)
            found += [Listing(each.group_id, SHARE, each.group_state) for each in answer.groups]
        return sorted(found, key=lambda listing: listing.name)

    def describe(self, name: str) -> DescribedShareGroup:
        """Return what the coordinator says about a group."""
        node = self._coordinator(name)
        asked = {"group_ids": (name,), "include_authorized_operations": False}
        group = self._client.ask_node(node, DESCRIBE, asked).groups[0]
        self._check(name, group.error_code, group.error_message)
        members = tuple(
            ShareMember(
                each.member_id,
                each.client_host,
                each.client_id,
                each.member_epoch,
                {topic.topic_name: topic.partitions for topic in each.assignment.topic_partitions},
            )
            for each in group.members
        )
        coordinator = f"{node.host}:{node.port}  ({node.node_id})"
        return DescribedShareGroup(
            name, group.group_state, group.group_epoch, group.assignment_epoch, members, coordinator
        )

    def starts(self, name: str) -> list[ShareStart]:
        """Return where a group goes on in each partition of the topics that it has read."""
        answer = self._ask(name, DESCRIBE_OFFSETS, {"groups": ({"group_id": name, "topics": None},)})
        group = answer.groups[0]
        self._check(name, group.error_code, group.error_message)
        found = []
        for topic in group.topics:
            for part in topic.partitions:
                self._check(name, part.error_code, part.error_message)
                place = (topic.topic_name, part.partition_index)
                found.append(ShareStart(place, part.leader_epoch, part.start_offset, part.lag))
        return sorted(found, key=lambda start: start.place)

    def move(self, name: str, offsets: Mapping[Place, int]) -> None:
        """Let a group without members go on elsewhere."""
        topics: dict[str, list[Fields]] = {}
        for (topic, partition), offset in offsets.items():
            topics.setdefault(topic, []).append({"partition_index": partition, "start_offset": offset})
        asked = [{"topic_name": topic, "partitions": parts} for topic, parts in topics.items()]
        answer = self._ask(name, ALTER_OFFSETS, {"group_id": name, "topics": asked})
        self._check(name, answer.error_code, answer.error_message)
        for topic_answer in answer.responses:
            for part in topic_answer.partitions:
                self._check(name, part.error_code, part.error_message)

    def forget(self, name: str, topics: Sequence[str]) -> dict[str, str]:
        """Let a group without members forget topics; return what went wrong with each, empty when nothing did."""
        asked = {"group_id": name, "topics": [{"topic_name": topic} for topic in topics]}
        answer = self._ask(name, DELETE_OFFSETS, asked)
        self._check(name, answer.error_code, answer.error_message)
        return {each.topic_name: _reason(each.error_code, each.error_message) for each in answer.responses}

    def delete(self, names: Sequence[str]) -> dict[str, str]:
        """Delete groups; return why each was not deleted, empty when it was. Groups of other kinds stay."""
        shared = [listing.name for listing in self.listings()]
        outcomes = {}
        for name in names:
            if name not in shared:
                outcomes[name] = f"Group '{name}' is not a share group."
                continue
            result = self._ask(name, DELETE_GROUPS, {"groups_names": (name,)}).results[0]
            outcomes[name] = _reason(result.error_code, None)
        return outcomes

    # --- inside -----------------------------------------------------------------------------------

    def _ask(self, name: str, api_key: int, fields: Fields) -> Any:
        return self._client.ask_node(self._coordinator(name), api_key, fields)

    def _coordinator(self, name: str) -> Node:
        asked = {"key_type": _GROUP_KEY, "coordinator_keys": (name,)}
        found = self._client.ask(FIND_COORDINATOR, asked).coordinators[0]
        self._check(name, found.error_code, found.error_message)
        return Node(found.node_id, found.host, found.port, None)

    def _check(self, name: str, error_code: Any, message: str | None) -> None:
        error = ErrorCode(error_code)
        if error is ErrorCode.GROUP_ID_NOT_FOUND:
            raise failure(
                f"{DOING}: there is no share group '{name}'",
                "`fencepost share-groups --list` shows the groups there are.",
            )
        check(error, message, f"{DOING}: {name}")


def _reason(error_code: Any, message: str | None) -> str:
    error = ErrorCode(error_code)
    return "" if error is ErrorCode.NONE else f"{error.name} {message or ''}".rstrip()
