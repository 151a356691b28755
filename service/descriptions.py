"""Stores and indexes as messages that describe them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lodex.index.dense_build import read_encoder
from lodex.index.manifest import FORMAT_VERSION, manifest_path
from lodex.index.receipt import Artefact
from lodex.index.store import Store
from lodex.index.tokens import TokenStream
from lodex.service.catalog import View
from lodex.v1 import common_pb2, datastore_pb2

_DATA_TYPES = {2: common_pb2.DATA_TYPE_UINT16, 4: common_pb2.DATA_TYPE_UINT32}


def describe_store(view: View, store: Store, read_only: bool = False) -> datastore_pb2.Store:
    """One version of a store, with its indexes by name. `read_only` says that it is not written here."""
    manifest = view.snapshot.manifest
    message = datastore_pb2.Store(
        name=view.store,
        version=manifest.version,
        documents=len(view.snapshot),
        text_bytes=manifest.live_text_bytes,
        deleted_documents=manifest.deleted_documents,
        segments=len(manifest.segments),
        indexes=[describe_index(view, name) for name in sorted(manifest.indexes)],
        read_only=read_only,
        format_version=FORMAT_VERSION,
    )
    # Format 1 had no times.
    time_ns = manifest.time_ns or manifest_path(store.path, manifest.version).stat().st_mtime_ns
    message.publish_time.FromNanoseconds(time_ns)
    return message


def describe_index(view: View, name: str) -> datastore_pb2.Index:
    """An index of a store, by its name or an alias: what it is, how far it is built, and how large.

    Its entries and bytes are those of its files, which hold deleted documents too.
    """
    entry = view.index(name)
    name = view.snapshot.resolve(name)
    parts = [part for _, part in view.snapshot.parts(name) if part is not None]
    index = datastore_pb2.Index(
        name=name,
        kind=entry.kind,
        aliases=sorted(alias for alias, index in view.snapshot.manifest.aliases.items() if index == name),
        config_json=json.dumps(dict(entry.config), sort_keys=True),
        segments_ok=len(parts),
        segments_total=len(view.snapshot.segments),
        entries=sum(part.receipt.rows for part in parts),
        size_bytes=sum(file.bytes for part in parts for file in part.receipt.files.values() if not file.link),
    )
    if entry.kind == "passages":
        index.passages.chunking = entry.config["chunking"]
    elif entry.kind == "dense":
        index.depends_on.append(entry.config["chunking"])
        index.dense.CopyFrom(_dense(entry.config, parts))
    elif entry.kind == "tokens":
        # A row of a stream is a document.
        index.entries = sum(part.receipt.details["tokens"] for part in parts)
        index.tokens.CopyFrom(_tokens(parts))
    elif entry.kind == "suffix":
        stream = entry.config["stream"]
        index.depends_on.append(stream)
        index.tokens.CopyFrom(_tokens([part for _, part in view.snapshot.parts(stream) if part is not None]))
    return index


def _dense(config: Mapping[str, Any], parts: Sequence[Artefact]) -> datastore_pb2.DenseDetails:
    encoder = read_encoder(config)
    return datastore_pb2.DenseDetails(
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        dimension=encoder.dimension,
        chunking=config["chunking"],
        truncated=sum(part.receipt.details["truncated"] for part in parts),
        normalized=encoder.normalized,
    )


def _tokens(streams: Sequence[Artefact]) -> datastore_pb2.TokenDetails:
    """What a token stream says of itself; all of its parts say the same, and one without parts says nothing."""
    if not streams:
        return datastore_pb2.TokenDetails()
    stream = TokenStream(streams[0])
    return datastore_pb2.TokenDetails(
        tokenizer=stream.tokenizer_name,
        fingerprint=stream.tokenizer_fingerprint,
        vocabulary_size=stream.vocab_size,
        eos_id=stream.eos_id,
        data_type=_DATA_TYPES[stream.dtype.itemsize],
    )
