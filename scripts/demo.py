"""The demo: two stores from what ships with every CPython, one server, one question of every kind.

    scripts/demo [--keep] [--fresh] [--folder demo]

`--keep` leaves the server running and prints how to talk to it; `--fresh` builds the stores again.
"""

from __future__ import annotations

import argparse
import inspect
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from lodex import Client
from lodex.errors import UnavailableError
from lodex.index.manifest import newest_version
from lodex.types import (
    Candidate,
    Citation,
    Document,
    Finished,
    GeneratedTokens,
    InfgramSource,
    KnnSource,
    Retrieved,
    Sampling,
    TextKind,
)

console = Console(markup=False, highlight=False, emoji=False)
LODEX = [sys.executable, "-m", "lodex.cli"]


# Tuned on the documentation of numpy.loadtxt, which like what is scored here neither the model nor the store has read.
KNN_TEMPERATURE, KNN_WEIGHT, INFGRAM_WEIGHT = 16.0, 0.2, 0.1
# How long a document that was just written may take to be found.
PATIENCE_S = 60.0


def say(*parts: str | tuple[str, str], end: str = "\n") -> None:
    """Print a line of texts, or of pairs of a text and its style."""
    console.print(Text.assemble(*parts), soft_wrap=True, end=end)


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
    build(docs, "python-docs", "suffix", "dense", "knn")
    build(source, "python-source", "suffix")
    say((f"\nBoth stores are ready after {time.monotonic() - start:.0f} s.", "dim"))

    server, address = serve(arguments.folder, docs=docs, source=source)
    try:
        with Client(address) as client:
            ask(client)
            read(client)
            change(client)
    except BaseException:
        stop(server)
        raise
    if arguments.keep:
        explain(address, server.pid)
    else:
        stop(server)
        say(("\nThe server has stopped. Run with --keep to leave it running.", "dim"))


def build(store: Path, source: str, *indexes: str) -> None:
    """Make a store with the command line, as a person would; what an earlier run finished is kept."""
    if newest_version(store) < 2:
        shutil.rmtree(store, ignore_errors=True)
        run("ingest", str(store), source)
    for index in indexes:
        run("index", index, str(store))


def run(*words: str) -> None:
    """Show a command of the command line and run it."""
    say((f"\n$ lodex {' '.join(words)}", "bold"))
    sys.stdout.flush()
    subprocess.run([*LODEX, *words], check=True)


def serve(folder: Path, **stores: Path) -> tuple[subprocess.Popen[str], str]:
    """Start one server over the stores on a free port; returns it and its address."""
    words = ["serve", *(f"{name}={path}" for name, path in stores.items()), "--port", "0"]
    say((f"\n$ lodex {' '.join(words)}", "bold"))
    log = (folder / "server.log").open("w")
    server = subprocess.Popen([*LODEX, *words], stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    assert server.stdout is not None, "the server was started with a pipe"
    line = server.stdout.readline().strip()
    if not line:
        server.wait()
        raise UnavailableError(f"the server did not start; see {log.name}")
    say(line)
    return server, line.rsplit(" ", 1)[-1]


def ask(client: Client) -> None:
    """One question of every kind."""
    heading("What is served")
    for store in client.stores():
        names = ", ".join(f"{index.name} ({index.kind}, {index.entries:,} entries)" for index in store.indexes)
        say(f"{store.name}: {store.documents:,} documents, {store.text_bytes / 1e6:.1f} MB of text; {names}")

    question = "how do I read a file line by line?"
    heading(f"By meaning: {question!r} (docs)")
    for hit in client.search("docs", [question], k=3)[0]:
        say((f"{hit.score:.3f}  {hit.passage.id}", "cyan"))
        say("       " + " ".join(hit.passage.text.split())[:240])

    heading("By exact words: how often? (source)")
    ngrams = ["for line in", "import os", "return self", "def __init__(self", "raise NotImplementedError", "goto"]
    counts = client.count("source", ngrams)
    for ngram, answer in zip(ngrams, counts, strict=True):
        say(f"{answer.count:8,}  {ngram}")

    heading("What follows exactly 'import os' (source)")
    (distribution,) = client.ntd("source", ["import os"], top_k=5, texts=True)
    for text, times, share in zip(distribution.texts, distribution.counts, distribution.probabilities, strict=True):
        say(f"{times:8,}  {share:.3f}  {text!r}")
    (answer,) = client.prob("source", "for line in", " f")
    say(f"P(' f' | 'for line in') = {answer.continuation_count}/{answer.prompt_count} = {answer.probability:.4f}")

    prompt = "The quick brown fox opened the file with open("
    heading(f"By what comes next: the ∞-gram continuation of {prompt!r} (source)")
    continue_prompt(client, prompt)

    heading("The documents that hold 'for line in fileinput' (source)")
    (found,) = client.search_docs("source", ["for line in fileinput"], page_size=3, context_tokens=12)
    say(f"{found.count} occurrences")
    for place in found.occurrences:
        text = " ".join(f"{place.before}{place.match}{place.after}".split())
        say((place.doc_id, "cyan"), f"  {text}")

    heading("One document by its id (docs)")
    (document,) = client.get("docs", ["fileinput.input"])
    say((document.doc_id, "cyan"), f"  {document.title}")
    say(document.text[:300])

    heading("Embeddings")
    embeddings = client.embed(["read a file line by line", "iterate over the lines of a file"], TextKind.QUERY)
    similarity = float(embeddings.vectors[0] @ embeddings.vectors[1])
    say(f"two sentences, vectors of {embeddings.vectors.shape[1]} numbers, cosine {similarity:.3f}")


def read(client: Client) -> None:
    """What a language model does with the documentation."""
    heading("Bits per byte of a text that neither the model nor the store has seen (docs)")
    # The documentation of another library: it comes with Lodex and is not part of Python's own.
    paragraph = inspect.cleandoc(np.genfromtxt.__doc__ or "")[:2400]
    knn, infgram = (
        KnnSource("docs", temperature=KNN_TEMPERATURE, weight=KNN_WEIGHT),
        InfgramSource("docs", weight=INFGRAM_WEIGHT),
    )
    sources = {
        "the model alone": {},
        "+ kNN": {"knn": knn},
        "+ ∞-gram": {"infgram": infgram},
        "+ both": {"knn": knn, "infgram": infgram},
    }
    for name, options in sources.items():
        (score,) = client.score([paragraph], **options)
        say(f"{score.bits_per_byte:.3f}  {name}")

    question = "How do I read a file line by line?"
    heading(f"Asked: {question!r} (docs)")
    retrieved = Retrieved(())
    for event in client.ask("docs", question, k=3, sampling=Sampling(max_tokens=60, stop=("\n", "Question:"))):
        match event.event:
            case Retrieved() as retrieved:
                for number, hit in enumerate(retrieved.hits):
                    say((f"[{number}] {hit.passage.id}", "cyan"), "  " + " ".join(hit.passage.text.split())[:100])
            case GeneratedTokens(text=text):
                console.print(Text(text, "bold"), end="", soft_wrap=True)
            case Citation(begin=begin, end=end, hits=hits):
                say((f"\nbytes {begin} to {end} rest on {', '.join(f'[{hit}]' for hit in hits)}", "dim"), end="")
            case Finished() as finished:
                say((f"\n{finished.generated_tokens} tokens, {finished.forwards} forward passes", "dim"))
    say(("It is a model of 7 million parameters: it shows the way, and knows little.", "dim"))

    query = "parse command line arguments"
    heading(f"Reranked: {query!r} (docs)")
    hits = client.search("docs", [query], k=8)[0]
    (ranking,) = client.rerank(query, [Candidate(text=hit.passage.text, id=hit.passage.id) for hit in hits])
    for candidate in ranking.candidates:
        say(f"{candidate.score:7.3f}  ", (candidate.id, "cyan"), f"  was {candidate.index + 1}")
    say((f"{ranking.windows} windows, {ranking.forwards} forward passes, {ranking.decoded_tokens} decoded", "dim"))


def change(client: Client) -> None:
    """A document comes and goes while the store is served."""
    phrase = "colourless green generators sleep furiously"
    heading(f"Written while it is served: {phrase!r} (source)")
    added = client.upsert("source", [Document("demo-note", f"# {phrase}\n", source="demo")])
    say(f"version {added.version}: the document is on disk")
    start = time.monotonic()
    while not (found := client.count("source", [phrase])[0].count):
        if time.monotonic() - start > PATIENCE_S:
            raise UnavailableError(f"the document was not indexed within {PATIENCE_S} s")
        time.sleep(0.05)
    say(f"{found:8}  after {time.monotonic() - start:.1f} s, in every index of the store")
    deleted = client.delete("source", ["demo-note"])
    say(f"version {deleted.version}: deleted")
    say(f"{client.count('source', [phrase])[0].count:8}  at once")


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
    say((prompt, "dim"), (text, "bold"))
    say((f"suffix lengths: {' '.join(map(str, suffix_lengths))}", "dim"))
    end = suffix_lengths[-1] + 1
    (found,) = client.search_docs("source", [(ids + written)[-end:]], page_size=1)
    say("from ", (found.occurrences[0].doc_id, "cyan"), f", where the last {end} tokens stand")


def heading(text: str) -> None:
    """A line between two answers."""
    say((f"\n{text}", "bold green"))


def explain(address: str, process: int) -> None:
    """How to talk to the server that stays."""
    say("\nThe server stays at ", (address, "bold"), f" (process {process}). Try, with the environment active:\n")
    say(f"    lodex search 'parse a date from text' --address {address} --store docs")
    say(f"    lodex count 'self.assertEqual' --address {address} --store source")
    say(f"    lodex infgram 'except KeyboardInterrupt' --address {address} --store source")
    say(f"\nand stop it with: kill {process}")


def stop(server: subprocess.Popen[str]) -> None:
    """Ask the server to drain and wait until it is gone."""
    os.kill(server.pid, signal.SIGTERM)
    server.wait(timeout=30)


if __name__ == "__main__":
    main()
