"""The command line: `lodex ingest | index | serve | search | count | ... `, a file for each family of verbs."""

from __future__ import annotations

import sys

from lodex.errors import DataLossError, LodexError, MissingExtraError, UnavailableError

try:
    from lodex.cli import (
        convert,
        documents,
        embedding,
        indexing,
        infgram_score,
        ingest,
        language_model,
        maintenance,
        ngrams,
        queries,
        rerank,
        serving,
        stores,
        trace,
        train_rerank,
        training,
    )
    from lodex.cli import eval as evaluation
    from lodex.cli.app import app
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] not in ("typer", "rich", "pydantic", "pydantic_settings", "pyarrow"):
        raise
    sys.exit(f"lodex: {MissingExtraError('the command line', 'engine,cli')}")

__all__ = [
    "app",
    "convert",
    "documents",
    "embedding",
    "evaluation",
    "indexing",
    "infgram_score",
    "ingest",
    "language_model",
    "main",
    "maintenance",
    "ngrams",
    "queries",
    "rerank",
    "serving",
    "stores",
    "trace",
    "train_rerank",
    "training",
]

_EXIT_CODES: tuple[tuple[type[LodexError], int], ...] = ((UnavailableError, 3), (DataLossError, 4))


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 an error (one line on stderr), 2 wrong usage, 3 no server there, 4 damaged data,
    130 interrupted, 141 nobody reads the output any more.
    """
    try:
        app()
    except LodexError as error:
        code = next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)
        print(f"lodex: {error}", file=sys.stderr)
        sys.exit(code)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        print(f"lodex: {place}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
