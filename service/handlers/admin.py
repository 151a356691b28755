"""AdminService: what the server is and serves."""

from __future__ import annotations

from dataclasses import asdict

from lodex import __version__
from lodex.config import Limits
from lodex.index.manifest import FORMAT_VERSION
from lodex.service.call import Call
from lodex.service.catalog import Catalog
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.rerankers import Rerankers
from lodex.service.server_state import ServerState
from lodex.service.text_embedding import takes_instruction
from lodex.service.vector_types import VECTOR_TYPES
from lodex.service.writing import WriteAccess
from lodex.v1 import admin_pb2, common_pb2


class AdminHandler:
    """Describes the server. Steering it by RPC is not built yet; signals do."""

    def __init__(
        self,
        catalog: Catalog,
        models: Models,
        language_models: LanguageModels,
        rerankers: Rerankers,
        limits: Limits,
        state: ServerState,
        access: WriteAccess,
    ) -> None:
        self._catalog = catalog
        self._models = models
        self._language_models = language_models
        self._rerankers = rerankers
        self._limits = limits
        self._state = state
        self._access = access

    async def get_server_info(
        self, request: admin_pb2.GetServerInfoRequest, call: Call
    ) -> admin_pb2.GetServerInfoResponse:
        """Releases, formats, limits, models and stores."""
        reply = admin_pb2.GetServerInfoResponse(
            release=__version__,
            format_version=FORMAT_VERSION,
            min_format_version=1,
            limits=admin_pb2.Limits(**self._limits.model_dump(exclude={"default_deadline_s"})),
            models=[
                *map(self._embedder, self._models.names),
                *map(self._language_model, self._language_models.names),
                *map(self._reranker, self._rerankers.names),
            ],
            stores=list(self._catalog.stores),
            read_only=self._access.policy.read_only,
            draining=self._state.draining,
        )
        reply.limits.default_deadline.FromNanoseconds(int(self._limits.default_deadline_s * 1e9))
        reply.start_time.FromNanoseconds(self._state.start_time_ns)
        return reply

    def _embedder(self, name: str) -> admin_pb2.Model:
        model = admin_pb2.Model(name=name, role=admin_pb2.MODEL_ROLE_EMBEDDER, default=name == self._models.default)
        encoder = self._models.loaded(name)
        if encoder is not None:
            info = encoder.info
            model.fingerprint = info.fingerprint
            model.max_tokens = info.max_tokens
            model.dimension = info.dimension
            model.normalized = info.normalized
            model.loaded = True
            self._describe_queue(name, model)
        return model

    def _describe_queue(self, name: str, model: admin_pb2.Model) -> None:
        """What an embedder can do for requests, and what it has done."""
        embedder = self._models.embedder(name)
        convention = embedder.encoder.convention
        model.dimensions.extend(sorted(convention.matryoshka))
        model.takes_instruction = takes_instruction(convention)
        model.max_batch_tokens = embedder.encoder.max_batch_tokens
        is_half = embedder.encoder.precision == "bfloat16"
        model.data_type = common_pb2.DATA_TYPE_BFLOAT16 if is_half else common_pb2.DATA_TYPE_FLOAT32
        has_ranges = embedder.int8_ranges is not None
        model.vector_types.extend(t for t in VECTOR_TYPES if t != common_pb2.DATA_TYPE_INT8 or has_ranges)
        statistics = asdict(embedder.queue.statistics)
        busy_ns = statistics.pop("busy_ns")
        model.queue.CopyFrom(admin_pb2.ModelQueue(**statistics))
        model.queue.busy.FromNanoseconds(busy_ns)

    def _language_model(self, name: str) -> admin_pb2.Model:
        model = admin_pb2.Model(
            name=name, role=admin_pb2.MODEL_ROLE_LANGUAGE_MODEL, default=name == self._language_models.default
        )
        found = self._language_models.loaded(name)
        if found is not None:
            model.fingerprint = found.info.fingerprint
            model.max_tokens = found.info.max_tokens
            model.loaded = True
        return model

    def _reranker(self, name: str) -> admin_pb2.Model:
        model = admin_pb2.Model(name=name, role=admin_pb2.MODEL_ROLE_RERANKER, default=name == self._rerankers.default)
        reranker = self._rerankers.loaded(name)
        if reranker is not None:
            model.fingerprint = reranker.fingerprint
            model.max_tokens = reranker.max_tokens
            model.loaded = True
        return model
