"""The gRPC server: our services, those of text-embeddings-inference, health and reflection on one address."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from lodex.config import Limits, ServeSettings, load_settings
from lodex.errors import AlreadyExistsError, InvalidArgumentError
from lodex.index.store import Store
from lodex.service.adapter import Adapter
from lodex.service.application import Application
from lodex.service.auth import ApiKeyInterceptor
from lodex.service.catalog import Catalog
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models
from lodex.service.rerankers import Rerankers
from lodex.service.rpc import OPERATIONS, SERVICES, TEI
from lodex.service.store_root import StoreRoot
from lodex.service.workers import Workers
from lodex.service.writing import WritePolicy

logger = logging.getLogger(__name__)

LIVENESS = "liveness"
"""The health service that stays SERVING while the server drains: restart on it, route on the others."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Server:
    """Serves an application on one address. `start`, then `wait`; `drain` lets requests at work end.

    It belongs to one event loop, of which a process should have only one that runs grpc.
    """

    def __init__(self, application: Application, settings: ServeSettings) -> None:
        settings.check()
        self._application = application
        self._settings = settings
        self._workers = Workers(settings.workers)
        self._health = health_aio.HealthServicer()
        key = settings.read_api_key()
        self._server = grpc.aio.server(
            interceptors=[ApiKeyInterceptor(key)] if key else [],
            options=_options(settings.limits),
        )
        self._server.add_generic_rpc_handlers((Adapter(application.rpcs.values(), self._workers, settings),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [service.full_name for service in (*SERVICES.values(), OPERATIONS, *self._tei())]
        reflection.enable_server_reflection([*names, HEALTH, reflection.SERVICE_NAME], self._server)
        self.address = ""

    async def start(self) -> str:
        """Bind and serve; returns the address, with the port that was chosen for port 0.

        AlreadyExistsError where another server has the port. Models are loaded first if the settings say so.
        """
        application = self._application
        if self._settings.load_models:
            for models in (application.models, application.language_models, application.rerankers):
                for name in models.names:
                    executor = self._workers.for_model(name)
                    load = models.prepare if isinstance(models, Models) else models.load
                    await asyncio.get_running_loop().run_in_executor(executor, load, name)
        wanted = self._settings.address(self._settings.port)
        credentials = self._credentials()
        try:
            if credentials is None:
                port = self._server.add_insecure_port(wanted)
            else:
                port = self._server.add_secure_port(wanted, credentials)
        except RuntimeError as error:
            raise AlreadyExistsError(f"cannot listen on {wanted}: another server has it, or it is not ours") from error
        await self._set_health(_SERVING)
        await self._server.start()
        if self._settings.maintain and not self._settings.read_only:
            application.maintain(self._settings.maintain_interval_s)
        self._loop = asyncio.get_running_loop()
        application.access.on_failed.append(self._after_failed_write)
        self.address = self._settings.address(port)
        return self.address

    async def wait(self) -> None:
        """Until the server has ended."""
        await self._server.wait_for_termination()

    async def drain(self) -> None:
        """Report NOT_SERVING, refuse new requests, let those at work end within the grace, then end."""
        self._application.state.draining = True
        await self._set_health(_NOT_SERVING)
        await asyncio.sleep(self._settings.drain_delay_s)
        if self._application.maintenance is not None:
            self._application.maintenance.stop()
        await self._server.stop(self._settings.drain_grace_s)
        await asyncio.to_thread(self._application.close)
        await asyncio.to_thread(self._workers.close)

    def _after_failed_write(self, store: str) -> None:
        self._loop.call_soon_threadsafe(self._tell_failed_write)

    def _tell_failed_write(self) -> None:
        """Let probes see that a store cannot be written any more, until the server is started again."""
        name = SERVICES["DatastoreService"].full_name
        self._told = asyncio.ensure_future(self._health.set(name, _NOT_SERVING))

    async def _set_health(self, status: Any) -> None:
        await self._health.set("", status)
        await self._health.set(LIVENESS, _SERVING)
        for name, service in SERVICES.items():
            is_built = any(rpc.answer for (owner, _), rpc in self._application.rpcs.items() if owner == name)
            await self._health.set(service.full_name, status if is_built else _NOT_SERVING)
        for service in self._tei():
            await self._health.set(service.full_name, status)

    def _tei(self) -> list[ServiceDescriptor]:
        """The services of text-embeddings-inference, as far as they are served."""
        served = {owner for owner, _ in self._application.rpcs}
        return [service for service in TEI if service.full_name in served]

    def _credentials(self) -> grpc.ServerCredentials | None:
        certificate, key = self._settings.tls_certificate, self._settings.tls_key
        if certificate is None or key is None:
            return None
        try:
            return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])
        except OSError as error:
            raise InvalidArgumentError(f"cannot read the TLS files: {error}", "tls_certificate") from error


def serve_stores(
    stores: Sequence[str] | Mapping[str, Path] = (), on_ready: Callable[[str], None] = logger.info, **flags: Any
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends it at once.

    `stores` are folders by name, or words NAME=FOLDER, beside those of the settings; `flags` are settings by name, None
    where a flag was not given. `on_ready` receives the address once requests are answered.
    """
    settings = load_settings({**flags, "stores": _named(stores) or None})
    if not settings.stores and settings.store_root is None:
        raise InvalidArgumentError("nothing to serve: name a store, as NAME=FOLDER", "stores")
    open_store = partial(Store.open, verify=settings.verify, advise=settings.advise)
    catalog = Catalog({name: open_store(path) for name, path in settings.stores.items()})
    if settings.store_root is not None:
        for name, path in StoreRoot(settings.store_root).stores():
            catalog.add(name, open_store(path))
    models = Models(
        settings.models,
        settings.model,
        max_queued_tokens=settings.limits.max_queued_tokens,
        int8_ranges=settings.int8_ranges,
    )
    language_models = LanguageModels(settings.language_models, settings.language_model)
    rerankers = Rerankers(settings.rerankers, settings.reranker)
    policy = WritePolicy.of(settings)
    tei_prompt = settings.tei_prompt if settings.tei else None
    application = Application(catalog, models, settings.limits, language_models, rerankers, policy, tei_prompt)
    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        runner.run(_serve(application, settings, on_ready))


async def _serve(application: Application, settings: ServeSettings, on_ready: Callable[[str], None]) -> None:
    server = Server(application, settings)
    address = await server.start()
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    on_ready(address)
    await asked_to_stop.wait()
    logger.info("draining")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    await server.drain()


def _named(stores: Sequence[str] | Mapping[str, Path]) -> dict[str, Path]:
    if isinstance(stores, Mapping):
        return dict(stores)
    named: dict[str, Path] = {}
    for word in stores:
        name, separator, folder = word.partition("=")
        if not separator or not folder:
            raise InvalidArgumentError(f"expected NAME=FOLDER, got {word!r}", "stores")
        if name in named:
            raise InvalidArgumentError(f"two stores are called {name!r}", "stores")
        named[name] = Path(folder)
    return named


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, which takes a tenth off the CPU time of a request; asyncio's own where there is no uvloop."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _options(limits: Limits) -> list[tuple[str, int]]:
    # Our own limit answers RESOURCE_EXHAUSTED; those of core must lie above it.
    backlog = 2 * limits.max_concurrent_requests
    return [
        # Otherwise a second server binds the same port and each gets a part of the connections.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", limits.max_message_bytes),
        ("grpc.max_concurrent_streams", backlog),
        # Core drops requests at random from the first number on, and says CANCELLED.
        ("grpc.server.max_pending_requests", backlog),
        ("grpc.server.max_pending_requests_hard_limit", 2 * backlog),
    ]
