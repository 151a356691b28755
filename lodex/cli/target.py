"""Whom the query verbs ask: a server by address, or a store on this machine by path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lodex.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from lodex.client import Client

AddressOption = Annotated[
    str,
    typer.Option("--address", envvar="LODEX_ADDRESS", help="HOST:PORT of a server; --store is then a name there."),
]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="LODEX_STORE",
        help="Path of a store on this machine, or PATH@VERSION or PATH@TAG of an older version of it; "
        "with --address its name there.",
    ),
]
VerifyOption = Annotated[
    str,
    typer.Option(
        "--verify",
        envvar="LODEX_VERIFY",
        help="light, or on-read: check every file of a store on this machine whole before its first byte is read.",
    ),
]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", envvar="LODEX_API_KEY_FILE", help="File that holds the server's API key."),
]
ModelFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--model-folder",
        metavar="NAME=PATH",
        help="Folder of an embedder that an index on this machine was built with, by the recorded name; repeatable.",
    ),
]

RerankerFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--reranker-folder",
        metavar="NAME=PATH",
        help="Folder of a further reranker, by the name it is asked for with --model; repeatable.",
    ),
]
LanguageModelFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--language-model-folder",
        metavar="NAME=PATH",
        help="Folder of a further language model, by the name it is asked for with --model; repeatable.",
    ),
]


def named_folders(words: Sequence[str] | None, flag: str = "--model-folder", field: str = "models") -> dict[str, Path]:
    """Folders by name, from words NAME=PATH, given by a flag for a setting."""
    folders: dict[str, Path] = {}
    for word in words or ():
        name, _, folder = word.partition("=")
        if not name or not folder:
            raise InvalidArgumentError(f"{flag} expects NAME=PATH, got {word!r}", field)
        folders[name] = Path(folder)
    return folders


def named_language_models(words: Sequence[str] | None) -> dict[str, Path]:
    """Folders of language models by name, from words NAME=PATH."""
    return named_folders(words, "--language-model-folder", "language_models")


def named_rerankers(words: Sequence[str] | None) -> dict[str, Path]:
    """Folders of rerankers by name, from words NAME=PATH."""
    return named_folders(words, "--reranker-folder", "rerankers")


def path_or_named(context: typer.Context, path: Path | None, address: str, store: str) -> tuple[str, str]:
    """Address and store for `connect`, of a verb whose PATH is the same as --store; InvalidArgumentError for both."""
    if path is None:
        return address, store
    for option, other in (("address", address), ("store", store)):
        # What stands in the environment is a default, and gives way.
        if other and getattr(context.get_parameter_source(option), "name", "") == "COMMANDLINE":
            raise InvalidArgumentError(f"say either PATH or --{option}, not both", option)
    return "", str(path)


def at_version(store: str) -> tuple[str, int | None, str | None]:
    """Path, version and tag from PATH, PATH@VERSION or PATH@TAG. What stands on this machine as it is written wins."""
    path, _, at = store.rpartition("@")
    if not path or not at or Path(store).exists() or not Path(path).exists():
        return store, None, None
    is_number = at.isascii() and at.isdigit()
    return path, int(at) if is_number else None, None if is_number else at


@contextmanager
def connect(
    address: str,
    store: str,
    api_key_file: Path | None = None,
    model_folders: Sequence[str] | None = None,
    language_model_folders: Sequence[str] | None = None,
    reranker_folders: Sequence[str] | None = None,
    *,
    needs_store: bool = True,
    verify: str = "light",
) -> Iterator[tuple[Client, str]]:
    """A client and the name of the store to ask it for. A server with one store needs no name.

    Where no store is needed and none is named, the name is "": the models of the server, or of this process, answer.
    """
    folders = {
        ("--model-folder", "models", "embedders"): model_folders,
        ("--language-model-folder", "language_models", "language models"): language_model_folders,
        ("--reranker-folder", "rerankers", "rerankers"): reranker_folders,
    }
    named = {field: named_folders(words, flag, field) for (flag, field, _), words in folders.items()}
    if address:
        for flag, field, kind in folders:
            if named[field]:
                raise InvalidArgumentError(f"{address} has {kind} of its own: give {flag} to lodex serve there", field)
        from lodex.client import Client

        key = api_key_file.read_text().strip() if api_key_file else None
        with Client(address, api_key=key) as client:
            yield client, store or (_only_store(client, address) if needs_store else "")
        return
    import lodex

    if store:
        models, language_models, rerankers = (named[field] for _, field, _ in folders)
        path, version, tag = at_version(store)
        with lodex.open(
            path,
            version=version,
            tag=tag,
            verify=verify,
            models=models,
            language_models=language_models,
            rerankers=rerankers,
        ) as opened:
            yield opened.client, opened.name
    elif needs_store:
        raise InvalidArgumentError("say whom to ask: --store PATH, or --address HOST:PORT with --store NAME", "store")
    else:
        from lodex.service.embedded import client_without_store

        with client_without_store(named["language_models"], named["rerankers"]) as client:
            yield client, ""


def _only_store(client: Client, address: str) -> str:
    names = [store.name for store in client.stores()]
    if len(names) != 1:
        raise NotFoundError(f"{address} serves {', '.join(names) or 'no stores'}: choose one with --store NAME")
    return names[0]
