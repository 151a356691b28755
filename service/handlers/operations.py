"""google.longrunning.Operations: listing, awaiting and cancelling what other services started."""

from __future__ import annotations

import time
from typing import ClassVar

from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.service.call import Call
from lodex.service.operations import Operations
from lodex.service.paging import Page, decode_page, encode_page, page_size
from lodex.service.rpc import OPERATIONS

_DEFAULT_PAGE = 50
_LONGEST_WAIT_S = 60.0
_TO_ANSWER_S = 0.1


class OperationsHandler:
    """Answers from the operations of this server; they do not outlive it."""

    SERVICE: ClassVar[str] = OPERATIONS.full_name

    def __init__(self, operations: Operations, limits: Limits) -> None:
        self._operations = operations
        self._limits = limits

    async def get_operation(self, request: operations_pb2.GetOperationRequest, call: Call) -> operations_pb2.Operation:
        """One operation by its name."""
        return self._operations.get(request.name).message()

    async def list_operations(
        self, request: operations_pb2.ListOperationsRequest, call: Call
    ) -> operations_pb2.ListOperationsResponse:
        """The operations by age, oldest first. `filter` is empty, or `done=true`, or `done=false`."""
        listing = operations_pb2.ListOperationsRequest(name=request.name, filter=request.filter)
        page = decode_page(request.page_token, listing, "page_token")
        wanted = {"": (True, False), "done=true": (True,), "done=false": (False,)}.get(request.filter)
        if wanted is None:
            raise InvalidArgumentError(f"filter is {request.filter!r}, expected done=true or done=false", "filter")
        operations = [operation for operation in self._operations.all() if operation.is_done in wanted]
        names = [operation.name for operation in operations]
        first = names.index(page.cursor) + 1 if page.cursor in names else 0
        size = page_size(request.page_size, _DEFAULT_PAGE, self._limits.max_page_size)
        reply = operations_pb2.ListOperationsResponse()
        reply.operations.extend(operation.message() for operation in operations[first : first + size])
        if len(operations) > first + size:
            reply.next_page_token = encode_page(Page(names[first + size - 1]), listing)
        return reply

    async def wait_operation(
        self, request: operations_pb2.WaitOperationRequest, call: Call
    ) -> operations_pb2.Operation:
        """The operation when it is done, or as it is after `timeout`, at most a minute."""
        operation = self._operations.get(request.name)
        timeout_s = _LONGEST_WAIT_S
        if request.HasField("timeout"):
            timeout_s = min(max(request.timeout.ToNanoseconds() / 1e9, 0.0), timeout_s)
        if call.deadline is not None:
            # The operation as it is says more than that the time is up.
            timeout_s = min(timeout_s, max(call.deadline - time.monotonic() - _TO_ANSWER_S, 0.0))
        await call.wait(operation.ended, timeout_s)
        return operation.message()

    async def cancel_operation(self, request: operations_pb2.CancelOperationRequest, call: Call) -> empty_pb2.Empty:
        """Ask an operation to stop; it does so at its next check."""
        self._operations.cancel(request.name)
        return empty_pb2.Empty()

    async def delete_operation(self, request: operations_pb2.DeleteOperationRequest, call: Call) -> empty_pb2.Empty:
        """Forget an operation that is done."""
        self._operations.delete(request.name)
        return empty_pb2.Empty()
