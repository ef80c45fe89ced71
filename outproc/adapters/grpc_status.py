"""How ends of pipelines and status codes of gRPC stand for each other (docs/grpc.md)."""

from __future__ import annotations

from typing import Final

from litz.errors import StreamAbortedError, StreamLostError
from litz.pipeline.report import PipelineEnd
from litz.stream_port import Abort
from litz.supervision import Failure

try:
    import grpc
except ImportError as missing:
    raise ImportError("the gRPC adapter needs grpcio: pip install 'litz[grpc]'") from missing

__all__ = ["ABORT_OF_STATUS", "STATUS_OF_END", "STATUS_OF_FAILURE", "error_of", "grpc", "status_of"]

STATUS_OF_END: Final[dict[PipelineEnd, grpc.StatusCode]] = {
    PipelineEnd.COMPLETE: grpc.StatusCode.OK,
    PipelineEnd.DRAINED: grpc.StatusCode.OK,
    PipelineEnd.ABORTED_BY_PEER: grpc.StatusCode.CANCELLED,
    PipelineEnd.LOST: grpc.StatusCode.UNAVAILABLE,
    PipelineEnd.ABORTED: grpc.StatusCode.ABORTED,
    PipelineEnd.CANCELLED: grpc.StatusCode.CANCELLED,
    PipelineEnd.HANDLER_FAILED: grpc.StatusCode.INTERNAL,
    PipelineEnd.ESCALATED: grpc.StatusCode.INTERNAL,
    PipelineEnd.TASK_FAILED: grpc.StatusCode.INTERNAL,
    PipelineEnd.ORDER_BROKEN: grpc.StatusCode.FAILED_PRECONDITION,
    PipelineEnd.OUTBOUND_FAILED: grpc.StatusCode.INTERNAL,
    PipelineEnd.GRACE_OVER: grpc.StatusCode.UNAVAILABLE,
}
"""What a client is told of an end of the server's pipeline."""

STATUS_OF_FAILURE: Final[dict[Failure, grpc.StatusCode]] = {
    Failure.RAISED: grpc.StatusCode.INTERNAL,
    Failure.TIMED_OUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    Failure.CANCELLED_ITSELF: grpc.StatusCode.INTERNAL,
    Failure.REFUSED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Failure.ORDER_BROKEN: grpc.StatusCode.FAILED_PRECONDITION,
    Failure.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Failure.UNDELIVERED: grpc.StatusCode.UNAVAILABLE,
}
"""The same for a message that closed the stream, or escalated: by the kind of its failure."""

ABORT_OF_STATUS: Final[dict[grpc.StatusCode, Abort]] = {
    grpc.StatusCode.CANCELLED: Abort.CANCELLED,
    grpc.StatusCode.UNKNOWN: Abort.HANDLER_FAILED,
    grpc.StatusCode.INTERNAL: Abort.HANDLER_FAILED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Abort.HANDLER_FAILED,
}
"""What a status is to the client's pipeline. `UNAVAILABLE` is a loss, OK the peer's complete half, and any other is
`REJECTED`."""


def status_of(reason: PipelineEnd, said: str) -> grpc.StatusCode:
    """The status for an end; `said` is what the abort said, the kind of a failure if it was one."""
    try:
        return STATUS_OF_FAILURE[Failure(said)]
    except ValueError:
        return STATUS_OF_END[reason]


def error_of(code: grpc.StatusCode, details: str | None) -> StreamAbortedError:
    """The error for a call that ended with `code`, which is not OK."""
    text = f"the call ended with {code.name}" + (f": {details}" if details else "")
    if code is grpc.StatusCode.UNAVAILABLE:
        return StreamLostError(text)
    return StreamAbortedError(text, code=ABORT_OF_STATUS.get(code, Abort.REJECTED))
