"""What the operations on stores do: functions of a store and a meter, whose messages are their responses."""

from __future__ import annotations

from dataclasses import dataclass

from google.rpc import code_pb2

from lodex.config import Limits
from lodex.index.compaction import Throttle, compact
from lodex.index.gc import GRACE_S, KEEP, collect_garbage
from lodex.index.ingest import IngestSummary, ingest
from lodex.index.purge import purge
from lodex.index.sources.fields import Fields
from lodex.index.store import Store
from lodex.index.verify import verify_store
from lodex.service.catalog import View
from lodex.service.descriptions import describe_index
from lodex.service.indexing import build_with
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.new_indexes import IndexMaker, NewIndex
from lodex.service.operations import JobMeter
from lodex.service.writing import written_version
from lodex.v1 import datastore_pb2

_MAX_REJECTED = 100


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs on one store, called `name` in their responses."""

    name: str
    store: Store
    models: Models
    language_models: LanguageModels

    def build_index(self, wanted: NewIndex, meter: JobMeter) -> datastore_pb2.BuildIndexResponse:
        """Build an index over the segments that lack it, and what it is built over."""
        meter.start("loading", None, "models")
        builders = IndexMaker(self.store, self.models, self.language_models).builders(wanted)
        build_with(self.store, builders, meter)
        view = View(self.name, self.store.snapshot())
        reply = datastore_pb2.BuildIndexResponse(index=describe_index(view, wanted.name))
        reply.info.sources.append(view.provenance(wanted.name))
        return reply

    def compact(self, full: bool, meter: JobMeter) -> datastore_pb2.CompactStoreResponse:
        """Merge what is due, or all."""
        done = compact(self.store, full, throttle=Throttle(), progress=meter, check=meter.check)
        reply = datastore_pb2.CompactStoreResponse(
            segments_before=done.segments_before, segments_after=done.segments_after
        )
        reply.info.sources.append(written_version(self.name, self.store, done.version))
        return reply

    def purge(self, meter: JobMeter) -> datastore_pb2.PurgeStoreResponse:
        """Remove the bytes of what was deleted, from every version."""
        done = purge(self.store, progress=meter, check=meter.check)
        reply = datastore_pb2.PurgeStoreResponse(
            documents=done.documents, versions=len(done.versions), bytes=done.bytes
        )
        reply.info.sources.append(written_version(self.name, self.store, done.version))
        return reply

    def collect_garbage(
        self, request: datastore_pb2.CollectGarbageRequest, meter: JobMeter
    ) -> datastore_pb2.CollectGarbageResponse:
        """Remove old versions, and the folders that none needs."""
        meter.start("collecting", None, "versions")
        keep = request.keep_versions if request.HasField("keep_versions") else KEEP
        grace_s = request.grace_s if request.HasField("grace_s") else GRACE_S
        done = collect_garbage(self.store.path, keep, grace_s, dry_run=request.dry_run)
        return datastore_pb2.CollectGarbageResponse(
            versions=len(done.removed), files=done.folders + done.abandoned, bytes=done.bytes
        )

    def verify(self, version: int | None, quarantine: bool, meter: JobMeter) -> datastore_pb2.VerifyStoreResponse:
        """Check every file of a version; what is damaged is quarantined where the store may be written."""
        report = verify_store(self.store.path, version, meter, quarantine=quarantine)
        reply = datastore_pb2.VerifyStoreResponse(files=report.files, bytes=report.bytes)
        for sentence in report.damaged:
            # Paths are those within the store: where it stands is nobody's business.
            reply.damages.add(reason=sentence.replace(f"{self.store.path}/", ""))
        reply.info.sources.append(written_version(self.name, self.store, report.version))
        return reply

    def import_files(
        self,
        inputs: list[str],
        fields: Fields,
        request: datastore_pb2.ImportFilesRequest,
        limits: Limits,
        meter: JobMeter,
    ) -> datastore_pb2.ImportFilesResponse:
        """Add the documents of files as one version."""
        summary = ingest(
            self.store,
            inputs,
            fields=fields,
            on_error="fail" if request.stop_on_error else "skip",
            replace=request.replace,
            max_document_bytes=limits.max_document_bytes,
            progress=meter,
        )
        return self._imported(summary)

    def _imported(self, summary: IngestSummary) -> datastore_pb2.ImportFilesResponse:
        reply = datastore_pb2.ImportFilesResponse()
        reply.summary.version = summary.version
        reply.summary.documents = summary.documents
        reply.summary.replaced = summary.replaced
        reply.summary.rejected = sum(skipped.count for skipped in summary.skipped)
        reply.summary.text_bytes = summary.text_bytes
        reply.summary.info.sources.append(written_version(self.name, self.store, summary.version))
        examples = [example for skipped in summary.skipped for example in skipped.examples]
        for example in examples[:_MAX_REJECTED]:
            reply.rejected.add(error={"code": code_pb2.INVALID_ARGUMENT, "message": example})
        return reply
