"""The router: from a frame to the handler of its API, and Kafka's answer when there is none.

Here: what happens to a request before its own handler sees it. Kafka's answers, which are ours:

- an ApiVersions request of a version that we do not know gets a version 0 response with UNSUPPORTED_VERSION and
  the versions of ApiVersions itself, so that the client can ask again (KIP-511);
- any other unknown API or version, and a message that cannot be read, closes the connection, with a line in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.base.errors import ErrorCode
from cluster.base.request_faults import RequestVerdict
from cluster.broker.api_versions import unsupported_version_response
from cluster.broker.context import BrokerContext
from cluster.broker.interference import AfflictedSlot
from cluster.broker.registry import API_BY_KEY, served_apis
from cluster.broker.request import Connection, Request, Slot
from cluster.wire import API_VERSIONS_KEY, MalformedMessage, body_of, encode_refusal, read_request_header


def api_name(frame: memoryview) -> tuple[str | None, str]:
    """Return the client's id and the name of the API that a request is for; an unknown API has its key for a name."""
    header = read_request_header(frame)
    api = API_BY_KEY.get(header.api_key)
    return header.client_id, str(header.api_key) if api is None else api.name


def serve_frame(
    context: BrokerContext,
    connection: Connection,
    frame: memoryview,
    enqueue: Callable[[Slot], None],
    verdict: RequestVerdict | None = None,
) -> None:
    """Serve one request. Its slot is queued before the handler runs. Raises MalformedMessage to close.

    A `verdict` says what a fault makes of it.
    """
    header = read_request_header(frame)
    apis = API_BY_KEY if not context.as_release else served_apis(context.as_release)
    api = apis.get(header.api_key)
    if api is None:
        raise MalformedMessage(f"{header.client_id} asked for API {header.api_key}, which is not served")
    if not api.oldest <= header.version <= api.newest:
        if header.api_key == API_VERSIONS_KEY:
            slot = Slot(connection, header.api_key, False, header.correlation_id)
            enqueue(slot)
            slot.answer([unsupported_version_response(api.oldest, api.newest)])
            return
        raise MalformedMessage(
            f"{header.client_id} sent {api.name} version {header.version}; {api.oldest} to {api.newest} are served"
        )
    flexible = header.version >= api.flexible_from
    slot = Slot(connection, header.api_key, flexible, header.correlation_id)
    if verdict is not None and context.request_faults is not None:
        reply_header = (header.api_key, flexible, header.correlation_id)
        slot = AfflictedSlot(connection, reply_header, verdict, context.request_faults)
    body = body_of(frame, header, flexible)
    enqueue(slot)
    if verdict is not None and verdict.error:
        refusal = encode_refusal(header.api_key, header.version, body, ErrorCode[verdict.error])
        slot.answer_nothing() if refusal is None else slot.answer(refusal)
        return
    try:
        api.serve(
            context, Request(header.api_key, header.version, header.client_id, body, connection.client_host), slot
        )
    except MalformedMessage as error:
        raise MalformedMessage(f"{api.name} version {header.version} of {header.client_id}: {error}") from error
