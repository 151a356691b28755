"""Folders in infini-gram's format: written by infini-gram's own indexing, or by Lodex's builder."""

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width

DTYPES: dict[str, Any] = {"u8": np.dtype("u1"), "u16": np.dtype("<u2"), "u32": np.dtype("<u4")}
Documents = Sequence[Sequence[int]]

# infini-gram tokenises with models from a hub, for which a reader of ready ids stands in, so that no hub is asked.
_INDEXING = """
import json, resource, sys, types
transformers = types.ModuleType("transformers")
transformers.utils = types.SimpleNamespace(logging=types.SimpleNamespace(set_verbosity=lambda level: None))
tokenizer = types.SimpleNamespace(encode=json.loads)
transformers.AutoTokenizer = types.SimpleNamespace(from_pretrained=lambda *names, **options: tokenizer)
sys.modules["transformers"] = transformers
from infini_gram import indexing
sys.argv += ["--ulimit", str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])]
indexing.main()
"""


def real_documents(dtype: str, size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Python's own modules, `size` characters of them, as tokens of a dtype; and some more, held out."""
    texts, read = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        texts.append(path.read_text(errors="replace"))
        read += len(texts[-1])
        if read >= size:
            break
    if dtype == "u8":
        documents = [list(text.encode()) for text in texts]
    else:
        ids: dict[str, int] = {}
        words = [re.findall(r"\w+|\s+|[^\w\s]", text) for text in texts]
        first, step = (0, 1) if dtype == "u16" else (70000, 7)  # u32: ids that two bytes do not hold
        documents = [[first + step * ids.setdefault(word, len(ids)) for word in text] for text in words]
    held_out = len(documents) // 10
    return documents[held_out:], documents[:held_out]


def index_with_infini_gram(folder: Path, documents: Documents, dtype: str, shards: int, cpus: int = 1) -> Path:
    """Run infini-gram's own indexing, with metadata and unigram counts. Its tables of u32 need 34 GB: not those."""
    data = folder.with_name(folder.name + "-documents")
    data.mkdir(parents=True)
    with (data / "all.jsonl").open("w") as file:
        for number, tokens in enumerate(documents):
            text = bytes(tokens).decode() if dtype == "u8" else json.dumps(list(tokens))
            file.write(json.dumps({"text": text, "number": number}) + "\n")
    arguments = ["--data_dir", data, "--save_dir", folder, "--token_dtype", dtype, "--shards", shards, "--cpus", cpus]
    arguments += ["--mem", 1, "--add_metadata", "--add_unigram"]
    arguments += [] if dtype == "u8" else ["--tokenizer", "gpt2"]
    command = [sys.executable, "-c", _INDEXING, *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


def write_folder(
    folder: Path, shards: Sequence[Documents], dtype: str = "u16", *, numbered: bool = True, metadata: bool = False
) -> Path:
    """Write the same files with Lodex's builder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, documents in enumerate(shards):
        end = f".{number}" if numbered else ""
        separator = int(np.iinfo(DTYPES[dtype]).max)
        tokens = np.array([token for document in documents for token in [separator, *document]], DTYPES[dtype])
        lengths = [(1 + len(document)) * tokens.itemsize for document in documents]
        tokens.tofile(folder / f"tokenized{end}")
        table = encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes))
        table.tofile(folder / f"table{end}")
        np.cumsum([0, *lengths])[:-1].astype("<u8").tofile(folder / f"offset{end}")
        if metadata:
            lines = [
                json.dumps({"number": i, "name": "ü" * ((i + number) % 3)}).encode() + b"\n"
                for i in range(len(documents))
            ]
            (folder / f"metadata{end}").write_bytes(b"".join(lines))
            np.cumsum([0, *map(len, lines)])[:-1].astype("<u8").tofile(folder / f"metaoff{end}")
            ids, counts = np.unique(tokens, return_counts=True)
            rows = zip(ids.tolist(), counts.tolist(), strict=True)
            (folder / f"unigram{end}").write_text("".join(f"{token} {count}\n" for token, count in rows))
    return folder


def count_conjunctions(
    stream: Sequence[int], clauses: Sequence[Documents], reach: int, separator: int, *, apart: bool = True
) -> list[int]:
    """Where a conjunction holds in one stream, sorted; unless documents are kept `apart`, by infini-gram's own rule."""

    def starts(clause: Documents) -> list[int]:
        return [i for term in clause for i in range(len(stream)) if list(stream[i : i + len(term)]) == list(term)]

    document = np.cumsum([token == separator for token in stream]).tolist()
    first, *others = sorted(map(starts, clauses), key=len)
    ranges = [(start, start) for start in first]
    for places in others:
        joined = []
        for low, high in ranges:
            before = max((place for place in places if place < high), default=None)
            after = min((place for place in places if place >= low), default=None)
            new_low = low if before is None else min(low, before)
            new_high = high if after is None else max(high, after)
            is_before = before is not None and low - new_low <= reach
            is_after = after is not None and new_high - high <= reach
            if apart:
                is_before &= document[new_low] == document[low]
                is_after &= document[new_high] == document[high]
            if is_before or is_after:
                joined.append((new_low if is_before else low, new_high if is_after else high))
        ranges = joined
    return sorted(low for low, high in ranges if apart or separator not in stream[low:high])
