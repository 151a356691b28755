"""Settings of the server: flag > environment (`LODEX_*`) > TOML file > default.

`LODEX_PORT=50052` sets `port`, `LODEX_LIMITS__MAX_K=100` sets `max_k` of the table `[limits]`; `LODEX_CONFIG` or the
flag `--config` names the file. A key that does not exist is an error that names the nearest one that does.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from lodex.errors import InvalidArgumentError, LodexError

ENVIRONMENT_PREFIX = "LODEX_"


class Limits(BaseModel, extra="forbid", frozen=True):
    """What one request may ask for. A request beyond is refused; AdminService.GetServerInfo reports them."""

    max_message_bytes: PositiveInt = Field(default=64 << 20, description="bytes of a message, either way")
    max_batch_items: PositiveInt = Field(default=1024, description="items of a batch")
    max_batch_tokens: PositiveInt = Field(default=1 << 18, description="tokens of the texts of one Score")
    max_embed_inputs: PositiveInt = Field(default=1024, description="texts of one Embed")
    max_queued_tokens: PositiveInt = Field(default=1 << 18, description="tokens that wait for one embedder")
    max_k: PositiveInt = Field(default=1024, description="passages of one query, neighbours of one token")
    max_ngram_tokens: PositiveInt = Field(default=4096, description="tokens of an n-gram")
    max_top_k: PositiveInt = Field(default=1000, description="tokens of a distribution that is not asked for complete")
    max_page_size: PositiveInt = Field(default=1000, description="items of a page")
    max_context_tokens: PositiveInt = Field(default=1000, description="tokens of text on each side of a match")
    max_text_bytes: PositiveInt = Field(default=1 << 20, description="UTF-8 bytes of one text of a request")
    max_document_bytes: PositiveInt = Field(default=16 << 20, description="UTF-8 bytes of one document")
    max_ingest_documents: PositiveInt = Field(
        default=10_000, description="documents of one batch of an ingest, or of one deletion"
    )
    max_generate_prompts: PositiveInt = Field(default=64, description="prompts of one Generate or Ask")
    max_generated_tokens: PositiveInt = Field(default=4096, description="tokens of one continuation")
    max_rerank_queries: PositiveInt = Field(default=64, description="queries of one Rerank")
    max_rerank_candidates: PositiveInt = Field(default=1000, description="candidates of one query to rerank")
    max_concurrent_requests: PositiveInt = Field(default=4096, description="requests at work at once")
    default_deadline_s: PositiveFloat = Field(default=60.0, description="deadline of a request that names none")


class ServeSettings(BaseSettings):
    """How `lodex serve` runs. The defaults serve this machine alone, without a key."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    config: Path | None = Field(default=None, description="TOML file of settings")
    stores: dict[str, Path] = Field(default_factory=dict, description="folder of each store, by its name")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=50051, ge=0, le=65535, description="port to listen on, 0 for a free one")
    api_key: SecretStr | None = Field(default=None, description="key that every request must carry")
    api_key_file: Path | None = Field(default=None, description="file that holds the API key, where api_key is not set")
    tls_certificate: Path | None = Field(default=None, description="PEM file of the server's certificate chain")
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key")
    insecure: bool = Field(default=False, description="allow an address beyond this machine without TLS")
    models: dict[str, Path] = Field(default_factory=dict, description="folder of each further embedder, by its name")
    model: str = Field(default="minilm", description="embedder that an empty model name stands for")
    int8_ranges: dict[str, Path] = Field(
        default_factory=dict, description="file of the ranges of int8 vectors, by the name of their embedder"
    )
    tei: bool = Field(
        default=True, description="answer clients of text-embeddings-inference, with the default embedder"
    )
    tei_prompt: Literal["none", "query", "passage"] = Field(
        default="none", description="what texts of such clients are, where they name no prompt; none: as they stand"
    )
    language_models: dict[str, Path] = Field(
        default_factory=dict, description="folder of each further language model, by its name"
    )
    language_model: str = Field(
        default="lodex-mini-lm", description="language model that an empty model name stands for"
    )
    rerankers: dict[str, Path] = Field(default_factory=dict, description="folder of each further reranker, by its name")
    reranker: str = Field(default="lodex-mini-rerank", description="reranker that an empty model name stands for")
    load_models: bool = Field(default=False, description="load the models at start, not at their first request")
    store_root: Path | None = Field(
        default=None, description="folder whose stores are served, in which clients may create and delete stores"
    )
    import_roots: tuple[Path, ...] = Field(
        default=(), description="folders from which clients may have files imported; none unless set"
    )
    read_only: bool = Field(default=False, description="refuse every write")
    maintain: bool = Field(default=True, description="build what indexes lack, and compact, as documents come")
    maintain_interval_s: PositiveFloat = Field(
        default=1.0, description="time between two looks for versions that other processes published"
    )
    verify: Literal["light", "on-read"] = Field(
        default="light", description="which files are checked whole before they are read: small ones, or all (on-read)"
    )
    advise: Literal["normal", "random", "sequential", "willneed"] = Field(
        default="normal",
        description="how token streams and suffix tables are read from disk: random for those larger than memory",
    )
    workers: PositiveInt = Field(
        default_factory=lambda: max(2, os.cpu_count() or 1), description="threads for index look-ups"
    )
    drain_delay_s: NonNegativeFloat = Field(
        default=0.0, description="time from reporting NOT_SERVING to refusing requests"
    )
    drain_grace_s: NonNegativeFloat = Field(default=10.0, description="time that requests at work have when stopping")
    limits: Limits = Field(default_factory=Limits, description="what one request may ask for")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file that one of them names."""
        file = init_settings().get("config") or env_settings().get("config")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    def address(self, port: int) -> str:
        """The address with a port, an IPv6 one in brackets."""
        host = self.host.strip("[]")
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def read_api_key(self) -> str | None:
        """The API key that is set or that stands in the file, None where requests need none."""
        if self.api_key is not None:
            return self.api_key.get_secret_value()
        if self.api_key_file is None:
            return None
        try:
            key = self.api_key_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgumentError(f"cannot read the API key: {error}", "api_key_file") from error
        if not key:
            raise InvalidArgumentError(f"{self.api_key_file} is empty; it should hold the API key", "api_key_file")
        return key

    def check(self) -> None:
        """Refuse what would expose the server by mistake: InvalidArgumentError names the setting."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise InvalidArgumentError("tls_certificate and tls_key belong together; only one is set", "tls_key")
        if self.is_loopback:
            return
        if self.read_api_key() is None:
            raise InvalidArgumentError(
                f"{self.host} can be reached by other machines: set api_key or api_key_file", "api_key"
            )
        if self.tls_certificate is None and not self.insecure:
            raise InvalidArgumentError(
                f"{self.host} can be reached by other machines: set tls_certificate and tls_key, or insecure if the "
                "network itself keeps the API key and the texts secret",
                "tls_certificate",
            )


def load_settings(flags: Mapping[str, Any] | None = None) -> ServeSettings:
    """Read the settings; `flags` are those the user gave, None values being flags that were not given.

    InvalidArgumentError names the key of a wrong or unknown setting.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    _check_environment()
    _check_file(given.get("config") or os.environ.get(f"{ENVIRONMENT_PREFIX}CONFIG"))
    try:
        settings = ServeSettings(**given)
    except ValidationError as error:
        raise _explain(error) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgumentError(f"the settings file is not TOML: {error}", "config") from error
    settings.check()
    return settings


def _check_file(file: str | Path | None) -> None:
    # pydantic-settings passes over a file that is not there.
    if file is not None and not Path(file).is_file():
        raise InvalidArgumentError(f"no settings file {str(file)!r}", "config")


def _check_environment() -> None:
    """Refuse variables that nearly name a setting. Others with our prefix may belong to the client or to tests."""
    known = {(ENVIRONMENT_PREFIX + key.replace(".", "__")).upper() for key in _keys(ServeSettings)}
    for name in os.environ:
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known and not name.startswith("LODEX_STORES__"):
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if nearest:
                raise InvalidArgumentError(f"no setting {name} in the environment; did you mean {nearest[0]}?", name)


def _explain(error: ValidationError) -> LodexError:
    """The first thing that is wrong, in a sentence that names the key."""
    detail: ErrorDetails = error.errors(include_url=False)[0]
    key = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(key, list(_keys(ServeSettings)), n=1, cutoff=0.0)
        return InvalidArgumentError(f"no setting {key!r}; the nearest is {nearest[0]!r}", key)
    got = "" if key == "api_key" else f", got {detail['input']!r}"
    return InvalidArgumentError(f"setting {key!r}: {detail['msg'].lower()}{got}", key)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key as it is written in the file, dotted within tables."""
    for name, info in model.model_fields.items():
        yield prefix + name
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _keys(info.annotation, f"{prefix}{name}.")
