"""DatastoreService, the part that starts operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from lodex.config import Limits
from lodex.errors import InvalidArgumentError
from lodex.index.manifest import read_manifest
from lodex.service.call import Call
from lodex.service.checks import at_most
from lodex.service.importing import allowed_inputs, read_fields
from lodex.service.ingesting import read_request_id
from lodex.service.jobs import Jobs
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.new_indexes import NewIndex
from lodex.service.operations import JobMeter, Operations, on_kept_version
from lodex.service.writing import WriteAccess
from lodex.v1 import datastore_pb2

_MAX_INPUTS = 1000


class JobsHandler:
    """Starts jobs. Those that write a store run in turn, one at a time for each store."""

    SERVICE: ClassVar[str] = "DatastoreService"

    def __init__(
        self,
        access: WriteAccess,
        operations: Operations,
        models: Models,
        language_models: LanguageModels,
        limits: Limits,
    ) -> None:
        self._access = access
        self._operations = operations
        self._models = models
        self._language_models = language_models
        self._limits = limits

    async def build_index(self, request: datastore_pb2.BuildIndexRequest, call: Call) -> operations_pb2.Operation:
        """Build an index that is there, or a new one."""
        wanted = NewIndex.read(request.index, request.kind, request.config_json)
        return self._start("build_index", request, lambda jobs: partial(jobs.build_index, wanted))

    async def compact_store(self, request: datastore_pb2.CompactStoreRequest, call: Call) -> operations_pb2.Operation:
        """Merge segments."""
        full = request.full
        return self._start("compact_store", request, lambda jobs: partial(jobs.compact, full))

    async def purge_store(self, request: datastore_pb2.PurgeStoreRequest, call: Call) -> operations_pb2.Operation:
        """Remove the bytes of what was deleted."""
        return self._start("purge_store", request, lambda jobs: jobs.purge)

    async def collect_garbage(
        self, request: datastore_pb2.CollectGarbageRequest, call: Call
    ) -> operations_pb2.Operation:
        """Remove old versions, and files that none needs."""
        if request.keep_versions < 0 or (request.HasField("keep_versions") and not request.keep_versions):
            raise InvalidArgumentError(f"keep_versions is {request.keep_versions}, at least 1 is kept", "keep_versions")
        if request.grace_s < 0:
            raise InvalidArgumentError(f"grace_s is {request.grace_s}, it must not be negative", "grace_s")
        return self._start("collect_garbage", request, lambda jobs: partial(jobs.collect_garbage, request))

    async def import_files(self, request: datastore_pb2.ImportFilesRequest, call: Call) -> operations_pb2.Operation:
        """Add documents from files of the server."""
        at_most(request.inputs, _MAX_INPUTS, "inputs", "inputs")
        self._access.require(request.store)
        fields = read_fields(request.fields)
        inputs = await call.run(allowed_inputs, list(request.inputs), self._access.policy.import_roots)
        return self._start(
            "import_files",
            request,
            lambda jobs: partial(jobs.import_files, inputs, fields, request, self._limits),
        )

    async def verify_store(self, request: datastore_pb2.VerifyStoreRequest, call: Call) -> operations_pb2.Operation:
        """Check the files of a version. It needs no turn among those that write."""
        name = self._access.catalog.resolve(request.target.store)
        store = self._access.catalog.require(request.target.store, "target.store")
        read_request_id(request.request_id, "request_id")
        version = request.target.version if request.target.HasField("version") else None
        if version is not None:
            await call.run(read_manifest, store.path, version)
        jobs = Jobs(name, store, self._models, self._language_models)
        quarantine = not self._access.is_read_only(request.target.store)
        work = partial(jobs.verify, version, quarantine)

        def check(meter: JobMeter) -> Message:
            with self._access.unless_dropped(name, store):
                return on_kept_version(store, partial(work, meter), meter)

        asked = datastore_pb2.VerifyStoreRequest()
        asked.CopyFrom(request)
        asked.target.store = name
        return self._operations.start(
            "verify_store",
            name,
            request.request_id,
            check,
            f"{name}/verify",
            asked.SerializeToString(deterministic=True),
        ).message()

    def _start(
        self, job: str, request: Any, choose: Callable[[Jobs], Callable[[JobMeter], Message]]
    ) -> operations_pb2.Operation:
        """Start a job that writes a store; `choose` says which of its jobs."""
        store = self._access.require(request.store)
        name = self._access.catalog.resolve(request.store)
        read_request_id(request.request_id, "request_id")
        work = choose(Jobs(name, store, self._models, self._language_models))

        def write(meter: JobMeter) -> Message:
            with self._access.writing(name, store):
                return on_kept_version(store, partial(work, meter), meter)

        asked = type(request)()
        asked.CopyFrom(request)
        asked.store = name
        return self._operations.start(
            job, name, request.request_id, write, request=asked.SerializeToString(deterministic=True)
        ).message()
