"""A client of text-embeddings-inference, made from nothing but the names and numbers that its project publishes.

huggingface/text-embeddings-inference, proto/tei.proto, releases 1.0 (a request has three fields there) to 1.9.
Its descriptors stand in a pool of their own, so nothing of Lodex's is among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
FIELDS: dict[str, list[tuple[str, int, Any, str]]] = {
    "InfoRequest": [],
    "InfoResponse": [
        ("version", 1, _F.TYPE_STRING, ""),
        ("sha", 2, _F.TYPE_STRING, "optional"),
        ("docker_label", 3, _F.TYPE_STRING, "optional"),
        ("model_id", 4, _F.TYPE_STRING, ""),
        ("model_sha", 5, _F.TYPE_STRING, "optional"),
        ("model_dtype", 6, _F.TYPE_STRING, ""),
        ("model_type", 7, _F.TYPE_INT32, ""),
        ("max_concurrent_requests", 8, _F.TYPE_UINT32, ""),
        ("max_input_length", 9, _F.TYPE_UINT32, ""),
        ("max_batch_tokens", 10, _F.TYPE_UINT32, ""),
        ("max_batch_requests", 11, _F.TYPE_UINT32, "optional"),
        ("max_client_batch_size", 12, _F.TYPE_UINT32, ""),
        ("tokenization_workers", 13, _F.TYPE_UINT32, ""),
    ],
    "Metadata": [
        ("compute_chars", 1, _F.TYPE_UINT32, ""),
        ("compute_tokens", 2, _F.TYPE_UINT32, ""),
        ("total_time_ns", 3, _F.TYPE_UINT64, ""),
        ("tokenization_time_ns", 4, _F.TYPE_UINT64, ""),
        ("queue_time_ns", 5, _F.TYPE_UINT64, ""),
        ("inference_time_ns", 6, _F.TYPE_UINT64, ""),
    ],
    "EmbedRequest": [
        ("inputs", 1, _F.TYPE_STRING, ""),
        ("truncate", 2, _F.TYPE_BOOL, ""),
        ("normalize", 3, _F.TYPE_BOOL, ""),
        ("truncation_direction", 4, _F.TYPE_INT32, ""),
        ("prompt_name", 5, _F.TYPE_STRING, "optional"),
        ("dimensions", 6, _F.TYPE_UINT32, "optional"),
    ],
    "EmbedResponse": [
        ("embeddings", 1, _F.TYPE_FLOAT, "repeated"),
        ("metadata", 2, _F.TYPE_MESSAGE, "Metadata"),
    ],
}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="tei.proto", package="tei.v1", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, how in fields:
            added = message.field.add(name=field, number=number, type=kind, label=_F.LABEL_OPTIONAL)
            if how == "repeated":
                added.label = _F.LABEL_REPEATED
            elif how == "optional":
                added.proto3_optional = True
                added.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")
            elif how:
                added.type_name = f".tei.v1.{how}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tei.v1.{name}")) for name in FIELDS}


MESSAGES = _messages()


class TeiClient:
    """Asks by the paths of tei.v1; errors come as grpc.RpcError."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)

    def info(self) -> Any:
        """tei.v1.Info/Info."""
        return self._method("unary_unary", "Info/Info", "Info")(MESSAGES["InfoRequest"](), timeout=20)

    def embed(self, inputs: str, **fields: Any) -> Any:
        """tei.v1.Embed/Embed."""
        request = MESSAGES["EmbedRequest"](inputs=inputs, **fields)
        return self._method("unary_unary", "Embed/Embed", "Embed")(request, timeout=20)

    def embed_stream(self, texts: Iterator[str], **fields: Any) -> Iterator[Any]:
        """tei.v1.Embed/EmbedStream."""
        requests = (MESSAGES["EmbedRequest"](inputs=text, **fields) for text in texts)
        replies: Iterator[Any] = self._method("stream_stream", "Embed/EmbedStream", "Embed")(requests, timeout=20)
        return replies

    def ask(self, path: str) -> bytes:
        """A unary method by its path, with an empty message."""
        reply: bytes = self._channel.unary_unary(f"/tei.v1.{path}")(b"", timeout=20)
        return reply

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()

    def _method(self, arity: str, path: str, pair: str) -> Any:
        return getattr(self._channel, arity)(
            f"/tei.v1.{path}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=MESSAGES[f"{pair}Response"].FromString,
        )
