"""The demo: two stores from what ships with every CPython, one server, one question of every kind.

    scripts/demo [--keep] [--fresh] [--folder demo]

`--keep` leaves the server running and prints how to talk to it; `--fresh` builds the stores again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from lodex import Client
from lodex.errors import UnavailableError
from lodex.index.manifest import newest_version
from lodex.types import TextKind

console = Console(highlight=False)
LODEX = [sys.executable, "-m", "lodex.cli"]


def main() -> None:
    """Build, serve, ask, stop."""
    parser = argparse.ArgumentParser(description="Lodex over the documentation and the source of this Python.")
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    parser.add_argument("--fresh", action="store_true", help="build the stores again")
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="where the stores go")
    arguments = parser.parse_args()
    if arguments.fresh:
        shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(exist_ok=True)
    docs, source = arguments.folder / "docs", arguments.folder / "source"

    start = time.monotonic()
    build(docs, "python-docs", "suffix", "dense")
    build(source, "python-source", "suffix")
    console.print(f"\n[dim]Both stores are ready after {time.monotonic() - start:.0f} s.[/dim]")

    server, address = serve(arguments.folder, docs=docs, source=source)
    try:
        with Client(address) as client:
            ask(client)
    except BaseException:
        stop(server)
        raise
    if arguments.keep:
        explain(address, server.pid)
    else:
        stop(server)
        console.print("\n[dim]The server has stopped. Run with --keep to leave it running.[/dim]")


def build(store: Path, source: str, *indexes: str) -> None:
    """Make a store with the command line, as a person would; what an earlier run finished is kept."""
    if newest_version(store) < 2:
        shutil.rmtree(store, ignore_errors=True)
        run("ingest", str(store), source)
    for index in indexes:
        run("index", index, str(store))


def run(*words: str) -> None:
    """Show a command of the command line and run it."""
    console.print(f"\n[bold]$ lodex {' '.join(words)}[/bold]")
    sys.stdout.flush()
    subprocess.run([*LODEX, *words], check=True)


def serve(folder: Path, **stores: Path) -> tuple[subprocess.Popen[str], str]:
    """Start one server over the stores on a free port; returns it and its address."""
    words = ["serve", *(f"{name}={path}" for name, path in stores.items()), "--port", "0"]
    console.print(f"\n[bold]$ lodex {' '.join(words)}[/bold]")
    log = (folder / "server.log").open("w")
    server = subprocess.Popen([*LODEX, *words], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    assert server.stdout is not None, "the server was started with a pipe"
    line = server.stdout.readline().strip()
    if not line:
        server.wait()
        raise UnavailableError(f"the server did not start; see {log.name}")
    console.print(line)
    return server, line.rsplit(" ", 1)[-1]


def ask(client: Client) -> None:
    """One question of every kind."""
    heading("What is served")
    for store in client.stores():
        names = ", ".join(f"{index.name} ({index.kind}, {index.entries:,} entries)" for index in store.indexes)
        console.print(f"{store.name}: {store.documents:,} documents, {store.text_bytes / 1e6:.1f} MB of text; {names}")

    question = "how do I read a file line by line?"
    heading(f"By meaning: {question!r} (docs)")
    for hit in client.search("docs", [question], k=3)[0]:
        console.print(f"[cyan]{hit.score:.3f}  {hit.passage.id}[/cyan]")
        console.print("       " + " ".join(hit.passage.text.split())[:240], markup=False)

    heading("By exact words: how often? (source)")
    ngrams = ["for line in", "import os", "return self", "def __init__(self", "raise NotImplementedError", "goto"]
    counts = client.count("source", ngrams)
    for ngram, answer in zip(ngrams, counts, strict=True):
        console.print(f"{answer.count:8,}  {ngram}", markup=False)

    heading("What follows exactly 'import os' (source)")
    (distribution,) = client.ntd("source", ["import os"], top_k=5, texts=True)
    for text, times, share in zip(distribution.texts, distribution.counts, distribution.probabilities, strict=True):
        console.print(f"{times:8,}  {share:.3f}  {text!r}", markup=False)
    (answer,) = client.prob("source", "for line in", " f")
    console.print(
        f"P(' f' | 'for line in') = {answer.continuation_count}/{answer.prompt_count} = {answer.probability:.4f}"
    )

    prompt = "The quick brown fox opened the file with open("
    heading(f"By what comes next: the ∞-gram continuation of {prompt!r} (source)")
    continue_prompt(client, prompt)

    heading("The documents that hold 'for line in fileinput' (source)")
    (found,) = client.search_docs("source", ["for line in fileinput"], page_size=3, context_tokens=12)
    console.print(f"{found.count} occurrences")
    for place in found.occurrences:
        console.print(f"[cyan]{place.doc_id}[/cyan]", end="  ")
        console.print(" ".join(f"{place.before}{place.match}{place.after}".split()), markup=False)

    heading("One document by its id (docs)")
    (document,) = client.get("docs", ["fileinput.input"])
    console.print(f"[cyan]{document.doc_id}[/cyan]  {document.title}")
    console.print(document.text[:300], markup=False)

    heading("Embeddings")
    embeddings = client.embed(["read a file line by line", "iterate over the lines of a file"], TextKind.QUERY)
    similarity = float(embeddings.vectors[0] @ embeddings.vectors[1])
    console.print(f"two sentences, vectors of {embeddings.vectors.shape[1]} numbers, cosine {similarity:.3f}")


def continue_prompt(client: Client, prompt: str, tokens: int = 24) -> None:
    """Extend a prompt by its most frequent next token, and show which document the continuation is from."""
    ids = [int(i) for i in client.tokenize("source", [prompt])[0]]
    written: list[int] = []
    suffix_lengths = []
    for _ in range(tokens):
        (distribution,) = client.infgram_ntd("source", [ids + written], top_k=1)
        suffix_lengths.append(distribution.suffix_length)
        written.append(int(distribution.token_ids[0]))
    (text,) = client.detokenize("source", [written])
    console.print(f"[dim]{prompt}[/dim][bold]{text}[/bold]")
    console.print(f"[dim]suffix lengths: {' '.join(map(str, suffix_lengths))}[/dim]")
    end = suffix_lengths[-1] + 1
    (found,) = client.search_docs("source", [(ids + written)[-end:]], page_size=1)
    console.print(f"from [cyan]{found.occurrences[0].doc_id}[/cyan], where the last {end} tokens stand")


def heading(text: str) -> None:
    """A line between two answers."""
    console.print(f"\n[bold green]{text}[/bold green]")


def explain(address: str, process: int) -> None:
    """How to talk to the server that stays."""
    console.print(
        f"\nThe server stays at [bold]{address}[/bold] (process {process}). Try, with the environment active:\n"
    )
    console.print(f"    lodex search 'parse a date from text' --address {address} --store docs")
    console.print(f"    lodex count 'self.assertEqual' --address {address} --store source")
    console.print(f"    lodex infgram 'except KeyboardInterrupt' --address {address} --store source")
    console.print(f"\nand stop it with: kill {process}")


def stop(server: subprocess.Popen[str]) -> None:
    """Ask the server to drain and wait until it is gone."""
    os.kill(server.pid, signal.SIGTERM)
    server.wait(timeout=30)


if __name__ == "__main__":
    main()
