"""Indexes that clients ask for: from a kind and a JSON object to builders, with the models that the server has.

A client names models, never paths, so that no request makes the server open a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lodex.embed.registry import DEFAULT_ENCODER
from lodex.errors import InvalidArgumentError
from lodex.index.build import Builder
from lodex.index.dense_build import IVF_FROM, DenseBuilder
from lodex.index.knn_build import LISTS_FROM, KnnBuilder
from lodex.index.passages import DEFAULT_CHUNKING, PassagesBuilder
from lodex.index.store import Store
from lodex.index.suffix import SuffixBuilder
from lodex.index.tokenizer import DEFAULT_TOKENIZER, Tokenizer
from lodex.index.tokens import TokensBuilder
from lodex.service.indexing import index_builders, stream_for
from lodex.service.language_models import LanguageModels
from lodex.service.models import Models

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class NewIndex:
    """What a client asks for: an index by name, its kind and configuration; both empty for one that is there."""

    name: str
    kind: str
    config: Mapping[str, Any]

    @classmethod
    def read(cls, name: str, kind: str, config_json: str) -> NewIndex:
        """From the fields of a BuildIndexRequest; InvalidArgumentError names the one that is wrong."""
        if not _NAME.fullmatch(name):
            raise InvalidArgumentError(
                f"index is {name[:80]!r}, expected 1 to 63 letters, digits, '.', '_' and '-'", "index"
            )
        try:
            config = json.loads(config_json) if config_json else {}
        except (ValueError, RecursionError) as error:
            raise InvalidArgumentError(f"config_json is not JSON: {error}", "config_json") from error
        if not isinstance(config, dict):
            raise InvalidArgumentError("config_json is no JSON object", "config_json")
        return cls(name, kind, config)


class IndexMaker:
    """Makes the builders of an index and of what it is built over, dependencies first."""

    def __init__(self, store: Store, models: Models, language_models: LanguageModels) -> None:
        self._store = store
        self._models = models
        self._language_models = language_models

    def builders(self, wanted: NewIndex) -> dict[str, Builder]:
        """Of an index that is there, as it was built; else of the one that is asked for."""
        entry = self._store.snapshot().manifest.indexes.get(wanted.name)
        if entry is None:
            return self._new(wanted)
        if wanted.kind not in ("", entry.kind):
            raise InvalidArgumentError(
                f"index {wanted.name!r} is there, of kind {entry.kind!r}, not {wanted.kind!r}", "kind"
            )
        if wanted.config and wanted.config != dict(entry.config):
            builders = self._new(NewIndex(wanted.name, entry.kind, wanted.config))
            if builders[wanted.name].config != entry.config:
                raise InvalidArgumentError(
                    f"index {wanted.name!r} is there with the configuration {dict(entry.config)}", "config_json"
                )
        every = index_builders(self._store, self._models, self._language_models)
        needed = {wanted.name, *every[wanted.name].depends_on}
        return {name: builder for name, builder in every.items() if name in needed}

    def _new(self, wanted: NewIndex) -> dict[str, Builder]:
        makers: dict[str, Callable[[_Fields, str], dict[str, Builder]]] = {
            "passages": self._passages,
            "tokens": self._tokens,
            "suffix": self._suffix,
            "dense": self._dense,
            "knn": self._knn,
        }
        if wanted.kind not in makers:
            raise InvalidArgumentError(
                f"index {wanted.name!r} is not there, and kind is {wanted.kind!r}, expected one of {', '.join(makers)}",
                "kind",
            )
        fields = _Fields(wanted.config)
        builders = makers[wanted.kind](fields, wanted.name)
        fields.require_none_left()
        return builders

    def _passages(self, fields: _Fields, name: str) -> dict[str, Builder]:
        chunking = fields.text("chunking", name)
        if chunking != name:
            raise InvalidArgumentError(f"a chunking is called by its name: {chunking!r}, not {name!r}", "index")
        return {name: PassagesBuilder(chunking)}

    def _tokens(self, fields: _Fields, name: str) -> dict[str, Builder]:
        return {name: TokensBuilder(_packaged_tokenizer(fields))}

    def _suffix(self, fields: _Fields, name: str) -> dict[str, Builder]:
        stream = fields.text("stream", "")
        page_keys = fields.flag("page_keys")
        if stream:
            every = index_builders(self._store, self._models, self._language_models)
            if stream not in every:
                raise InvalidArgumentError(f"stream {stream!r} is no index of the store", "config_json")
            return {stream: every[stream], name: SuffixBuilder(stream, page_keys=page_keys)}
        tokenizer = _packaged_tokenizer(fields)
        suffix = SuffixBuilder(tokenizer.name, page_keys=page_keys)
        return {tokenizer.name: TokensBuilder(tokenizer), name: suffix}

    def _dense(self, fields: _Fields, name: str) -> dict[str, Builder]:
        chunking, ivf_from = fields.text("chunking", DEFAULT_CHUNKING), fields.number("ivf_from", IVF_FROM)
        encoder = self._models.load(self._models.resolve(fields.text("model", DEFAULT_ENCODER), "config_json.model"))
        dense = DenseBuilder(chunking, encoder.info, encoder.embed_passages, ivf_from=ivf_from)
        return {chunking: PassagesBuilder(chunking), name: dense}

    def _knn(self, fields: _Fields, name: str) -> dict[str, Builder]:
        from lodex.lm.states import KeyMaker

        window, stride = fields.number("window_tokens", 0), fields.number("stride_tokens", 0)
        lists_from = fields.number("lists_from", LISTS_FROM)
        model = self._language_models.load(self._language_models.resolve(fields.text("model", ""), "config_json.model"))
        stream, tokens = stream_for(self._store, model)
        keys = KeyMaker(model.decoder, window or None, stride or None)
        return {stream: tokens, name: KnnBuilder(stream, keys.source, keys, lists_from=lists_from)}


class _Fields:
    """The fields of a configuration, each taken once; InvalidArgumentError for what is left or of another type."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._left = dict(config)

    def text(self, name: str, default: str) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str):
            raise InvalidArgumentError(f"{name} is {value!r}, expected text", f"config_json.{name}")
        return value

    def number(self, name: str, default: int) -> int:
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidArgumentError(f"{name} is {value!r}, expected a whole number", f"config_json.{name}")
        return value

    def flag(self, name: str) -> bool:
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"{name} is {value!r}, expected true or false", f"config_json.{name}")
        return value

    def require_none_left(self) -> None:
        if self._left:
            raise InvalidArgumentError(
                f"config_json has {', '.join(sorted(self._left))}, which this kind of index does not know",
                "config_json",
            )


def _packaged_tokenizer(fields: _Fields) -> Tokenizer:
    name = fields.text("tokenizer", DEFAULT_TOKENIZER)
    if name != DEFAULT_TOKENIZER:
        raise InvalidArgumentError(
            f"tokenizer is {name!r}: over the network only {DEFAULT_TOKENIZER!r} is to be had; build a stream of "
            "another on the server, with: lodex index suffix STORE --tokenizer",
            "config_json.tokenizer",
        )
    return Tokenizer.load()
