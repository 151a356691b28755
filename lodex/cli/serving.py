"""`lodex serve`: one server over many stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import app
from lodex.cli.target import (
    LanguageModelFolders,
    ModelFolders,
    RerankerFolders,
    named_folders,
    named_language_models,
    named_rerankers,
)


@app.command()
def serve(
    stores: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME=STORE...", help="Stores by name and path, beside those of the settings."),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="File that holds the API key to require.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file of the server's certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's private key.")] = None,
    insecure: Annotated[bool | None, typer.Option("--insecure", help="Listen beyond this machine without TLS.")] = None,
    load_models: Annotated[
        bool | None, typer.Option("--load-models", help="Load the models now, not at their first request.")
    ] = None,
    verify: Annotated[
        str | None, typer.Option(help="light, or on-read: check every file whole before its first byte is read.")
    ] = None,
    advise: Annotated[
        str | None,
        typer.Option(help="How mapped files are read: normal, random (larger than memory), sequential, willneed."),
    ] = None,
    read_only: Annotated[bool | None, typer.Option("--read-only", help="Refuse every write.")] = None,
    store_root: Annotated[
        Path | None, typer.Option(help="Folder whose stores are served, in which clients may create and delete stores.")
    ] = None,
    import_root: Annotated[
        list[Path] | None, typer.Option(help="Folder from which clients may have files imported; repeatable.")
    ] = None,
    maintain: Annotated[
        bool | None, typer.Option("--maintain/--no-maintain", help="Index new documents, and compact, as they come.")
    ] = None,
    model_folder: ModelFolders = None,
    language_model_folder: LanguageModelFolders = None,
    reranker_folder: RerankerFolders = None,
) -> None:
    """Serve stores over gRPC until interrupted."""
    from lodex.config import load_settings
    from lodex.service.server import serve_stores

    words = stores or []
    flags = {
        "host": host,
        "port": port,
        "config": config,
        "api_key_file": api_key_file,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "insecure": insecure,
        "load_models": load_models,
        "verify": verify,
        "advise": advise,
        "read_only": read_only,
        "store_root": store_root,
        "import_roots": tuple(import_root) if import_root else None,
        "maintain": maintain,
        "models": named_folders(model_folder) or None,
        "language_models": named_language_models(language_model_folder) or None,
        "rerankers": named_rerankers(reranker_folder) or None,
    }
    settings = load_settings(flags)
    named = {*settings.stores, *(word.partition("=")[0] for word in words)}
    names = ", ".join([*sorted(named), *([f"the stores of {settings.store_root}"] if settings.store_root else [])])
    serve_stores(words, on_ready=lambda address: print(f"serving {names} on {address}", flush=True), **flags)
