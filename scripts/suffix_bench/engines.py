"""One engine in this process: the CPU time of its queries, its answers, and the pages it reads when cold."""

from __future__ import annotations

import gc
import hashlib
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from suffix_bench import pages
from suffix_bench.queries import arguments

from lodex.kernels._suffix import Corpus, SuffixTable
from lodex.kernels.suffix_pages import page_key_blocks

PEER, LODEX = "infini-gram", "lodex"
EOS = 0xFFFE  # what both engines call the separator; no token of the corpus
# Methods by kind, where they are not called as the kind is.
_METHODS = {"ntd": "ntd", "creativity": "creativity", "trace": "attribute", "find_cnf": "find_cnf"}
_LONGEST_ANSWER = 200


def open_engine(name: str, folder: Path, in_memory: bool = False, advise: str | None = None) -> Any:
    """An engine on an index folder, mapped or read into memory; infini-gram without prefetching: its fastest."""
    if name == LODEX:
        from lodex.index.infini_gram.engine import InfiniGramEngine

        how = {} if advise is None else {"advise": advise}
        return InfiniGramEngine(folder, eos_token_id=EOS, load_to_ram=in_memory, **how)
    from infini_gram.engine import InfiniGramEngine as PeerEngine

    depths = dict.fromkeys(("ds_prefetch_depth", "sa_prefetch_depth", "od_prefetch_depth"), 0)
    return PeerEngine(str(folder), eos_token_id=EOS, token_dtype="u16", load_to_ram=in_memory, **depths)  # noqa: S106


def open_warm(name: str, folder: str, in_memory: bool) -> Any:
    """An engine whose files are in memory and mapped before it is asked."""
    engine = open_engine(name, Path(folder), in_memory)
    pages.populate(Path(folder))
    gc.disable()
    return engine


def ask(name: str, folder: str, queries: str, kinds: Sequence[str], in_memory: bool = False) -> dict[str, Any]:
    """All queries of some kinds, one at a time: CPU microseconds a query of each repetition, and the answers."""
    engine = open_warm(name, folder, in_memory)
    drawn = json.loads(Path(queries).read_text())
    return {kind: _ask(engine, kind, drawn[kind]) for kind in kinds}


def _ask(engine: Any, kind: str, repetitions: list[list[list[int]]]) -> dict[str, Any]:
    method = _method(engine, kind)
    means, singles, answers = [], [], []
    for windows in repetitions:
        batch = [arguments(kind, window) for window in windows]
        if kind.startswith("ntd"):  # these differ by orders of magnitude
            found = []
            for one in batch:
                begin = time.process_time_ns()
                found.append(method(*one))
                singles.append((time.process_time_ns() - begin) / 1e3)
            means.append(sum(singles[-len(batch) :]) / len(batch))
        else:
            begin = time.process_time_ns()
            found = [method(*one) for one in batch]
            means.append((time.process_time_ns() - begin) / 1e3 / len(batch))
        answers += [_compact(_exact(kind, one)) for one in found]
        del found
    p99 = float(np.quantile(singles, 0.99)) if singles else None
    return {"us": means, "p99_us": p99, "answers": answers}


def ask_batched(name: str, folder: str, queries: str, kinds: Sequence[str], in_memory: bool = False) -> dict[str, Any]:
    """Counts of whole repetitions at once."""
    engine = open_warm(name, folder, in_memory)
    drawn = json.loads(Path(queries).read_text())
    found = {}
    for kind in kinds:
        means, answers = [], []
        for windows in drawn[kind]:
            flat = np.array(windows, np.uint16).reshape(-1)
            offsets = np.arange(len(windows) + 1, dtype=np.int64) * len(windows[0])
            begin = time.process_time_ns()
            counts = engine.count_many(flat, offsets)
            means.append((time.process_time_ns() - begin) / 1e3 / len(windows))
            answers += counts["count"].tolist()
        found[kind] = {"us": means, "answers": answers}
    return found


def ask_arrays(name: str, folder: str, queries: str, kinds: Sequence[str], in_memory: bool = False) -> dict[str, Any]:
    """Complete distributions as arrays, without a dict for each token: whole repetitions at once, and one by one."""
    engine = open_warm(name, folder, in_memory)
    drawn = json.loads(Path(queries).read_text())
    found = {}
    for kind in kinds:
        means, singles, answers = [], [], []
        for windows in drawn[kind]:
            flat = np.array(windows, np.uint16).reshape(-1)
            offsets = np.arange(len(windows) + 1, dtype=np.int64) * len(windows[0])
            begin = time.process_time_ns()
            whole = engine.ntd_many(flat, offsets)
            means.append((time.process_time_ns() - begin) / 1e3 / len(windows))
            bounds = whole["offsets"].tolist()
            for i, window in enumerate(windows):
                part = slice(bounds[i], bounds[i + 1])
                pairs = zip(whole["token_ids"][part].tolist(), whole["cont_cnt"][part].tolist(), strict=True)
                answers.append(_compact([None, int(whole["prompt_cnt"][i]), None, sorted(pairs)]))
                prompt, ends = np.array(window, np.uint16), np.array([0, len(window)], np.int64)
                begin = time.process_time_ns()
                engine.ntd_many(prompt, ends)
                singles.append((time.process_time_ns() - begin) / 1e3)
        found[kind] = {"us": means, "p99_us": float(np.quantile(singles, 0.99)), "answers": answers}
    return found


def score(name: str, folder: str, documents: str, in_memory: bool = False) -> dict[str, Any]:
    """The ∞-gram probability of every position: of each document in one call, or of the first one call a position."""
    engine = open_warm(name, folder, in_memory)
    texts = json.loads(Path(documents).read_text())
    if name == PEER:
        texts = texts[:1]
    begin = time.process_time_ns()
    if name == LODEX:
        answers = [engine.score(text) for text in texts]
    else:
        answers = [[engine.infgram_prob(text[:i], text[i]) for i in range(len(text))] for text in texts]
    us = (time.process_time_ns() - begin) / 1e3 / sum(map(len, texts))
    return {"us": [us], "answers": _scored(name, answers[0])}


def cold(name: str, folder: str, queries: str, kind: str, number: int) -> dict[str, Any]:
    """Pages read by each query when no page of the index is in memory."""
    return _cold(_method(open_engine(name, Path(folder), advise="random"), kind), [Path(folder)], queries, kind, number)


def cold_with_keys(folder: str, keys: str, queries: str, kind: str, number: int) -> dict[str, Any]:
    """The same for Lodex with its keys of pages on disk, and what they take."""
    stream = np.memmap(Path(folder, "tokenized.0"), np.uint16, "r")
    table = np.memmap(Path(folder, "table.0"), np.uint8, "r")
    plain = SuffixTable(stream, table)
    Path(keys).parent.mkdir(exist_ok=True)
    with Path(keys).open("wb") as file:
        for block in page_key_blocks(plain, stream.itemsize):
            file.write(block.tobytes())
    mapped = np.memmap(keys, np.uint8, "r")
    corpus = Corpus([SuffixTable(stream, table, "table", plain.top, mapped, few_reads=True)], [1], False)
    found = _cold(getattr(corpus, kind.rpartition("_")[0]), [Path(folder), Path(keys).parent], queries, kind, number)
    return found | {"key_bytes": len(mapped)}


def _cold(method: Callable[..., Any], folders: list[Path], queries: str, kind: str, number: int) -> dict[str, Any]:
    for folder in folders:
        pages.read_at_random(folder)
    windows = json.loads(Path(queries).read_text())[kind][0][:number]
    method(*arguments(kind, windows[0]))  # what it does once only
    read, answers, stayed = [], [], 0
    for window in windows:
        one = arguments(kind, window)
        stayed = max(stayed, *map(pages.drop, folders))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_majflt
        answer = method(*one)
        read.append(resource.getrusage(resource.RUSAGE_SELF).ru_majflt - before)
        answers.append(_exact(kind, answer) if isinstance(answer, dict) else answer)
    return {"pages": read, "stayed": stayed, "answers": answers}


def top_bytes(folder: str) -> int:
    """What the top level of Lodex's search takes in memory."""
    stream = np.memmap(Path(folder, "tokenized.0"), np.uint16, "r")
    table = np.memmap(Path(folder, "table.0"), np.uint8, "r")
    return sum(part.nbytes for part in SuffixTable(stream, table).top)


def _method(engine: Any, kind: str) -> Callable[..., Any]:
    name = kind if kind in _METHODS else kind.rpartition("_")[0]
    method: Callable[..., Any] = getattr(engine, _METHODS.get(name, name))
    return method


def _exact(kind: str, answer: dict[str, Any]) -> Any:
    """What both engines must agree on; None where the answer is a sample or an estimate."""
    if "error" in answer:
        raise ValueError(f"{kind}: {answer['error']}")
    if answer.get("approx") and not kind.startswith("search_docs"):
        return None
    if kind.startswith("count"):
        return answer["count"]
    if kind.startswith("search_docs"):
        return answer["cnt"]  # the documents are drawn at random
    if kind == "find_cnf":
        return found_places(sorted(pointer for shard in answer["ptrs_by_shard"] for pointer in shard), answer["cnt"])
    if kind.startswith("creativity"):
        return answer["rs"]
    if kind.startswith("trace"):
        spans = answer["spans"]
        return sorted([s["l"], s["r"], s["count"], sorted((d["s"], d["ptr"]) for d in s["docs"])] for s in spans)
    counts = [answer.get("suffix_len"), answer["prompt_cnt"], answer.get("cont_cnt")]
    if "result_by_token_id" in answer:
        counts.append(sorted((token, found["cont_cnt"]) for token, found in answer["result_by_token_id"].items()))
    return counts


def found_places(pointers: list[int], count: int | None = None) -> Any:
    """A count and a digest of pointers in order, as answers are compared."""
    digest = hashlib.blake2b(json.dumps(pointers).encode(), digest_size=12).hexdigest()
    return [len(pointers) if count is None else count, digest]


def _scored(name: str, answer: Any) -> list[list[int]]:
    """Length of the suffix, its count and that with the token, of each position."""
    if name == PEER:
        return [[one["suffix_len"], one["prompt_cnt"], one["cont_cnt"]] for one in answer]
    return np.stack([answer[part] for part in ("suffix_len", "prompt_cnt", "cont_cnt")], axis=1).tolist()


def _compact(answer: Any) -> Any:
    text = json.dumps(answer)
    return answer if len(text) < _LONGEST_ANSWER else hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
