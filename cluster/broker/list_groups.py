"""ListGroups (API 16), versions 0 to 5: the groups that this broker coordinates; clients ask every broker.

Version 4 adds states and a filter by them (KIP-518), 5 types and a filter by those (KIP-848). While any partition is
being loaded the answer is COORDINATOR_LOAD_IN_PROGRESS: the list would have holes.
"""

from __future__ import annotations

from cluster.base.errors import KafkaError
from cluster.broker.context import BrokerContext
from cluster.wire import Fields, Message


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """List them by id."""
    states = [state.lower() for state in getattr(message, "states_filter", ())]
    types = [kind.lower() for kind in getattr(message, "types_filter", ())]
    try:
        groups = [group for shard in context.groups.shards() for group in shard.listed()]
    except KafkaError as error:
        return {"error_code": error.code}
    return {
        "groups": [
            {
                "group_id": group.group_id,
                "protocol_type": group.protocol_type,
                "group_state": group.state,
                "group_type": group.group_type,
            }
            for group in sorted(groups, key=lambda group: group.group_id)
            if (not states or group.state.lower() in states) and (not types or group.group_type in types)
        ]
    }
