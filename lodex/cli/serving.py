"""`lodex serve`: one server over many stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import app


@app.command()
def serve(
    stores: Annotated[list[str], typer.Argument(metavar="NAME=STORE...", help="Stores by name and path.")],
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="File that holds the API key to require.")] = None,
) -> None:
    """Serve stores over gRPC until interrupted."""
    from lodex.service.server import serve_stores

    serve_stores(stores, host=host, port=port, config=config, api_key_file=api_key_file)
