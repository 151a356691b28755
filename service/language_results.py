"""Scores and events of language models, written into messages."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from google.rpc import status_pb2

from lodex.service import messages
from lodex.service.status import to_status
from lodex.types import Citation, Finished, FinishReason, GeneratedTokens, Neighbor, Retrieved, TextScore
from lodex.v1 import common_pb2, language_model_pb2

_REASONS = {
    FinishReason.END: language_model_pb2.FINISH_REASON_END,
    FinishReason.LENGTH: language_model_pb2.FINISH_REASON_LENGTH,
    FinishReason.STOP: language_model_pb2.FINISH_REASON_STOP,
}


def write_score(score: TextScore, result: language_model_pb2.ScoreResult) -> None:
    """The scores of one text."""
    result.token_ids.CopyFrom(messages.tensor(score.token_ids.astype(np.uint32)))
    result.log_probabilities.CopyFrom(messages.tensor(score.log_probabilities))
    result.text_bytes = score.text_bytes
    for part in score.components:
        component = result.components.add(component=part.component)
        component.log_probabilities.CopyFrom(messages.tensor(part.log_probabilities))
        component.weights.CopyFrom(messages.tensor(part.weights))
        if part.suffix_lengths is not None:
            component.suffix_lengths.CopyFrom(messages.tensor(part.suffix_lengths))
    for token, neighbors in enumerate(score.neighbors):
        result.neighbors.add(token=token, neighbors=map(_neighbor, neighbors))


def _neighbor(value: Neighbor) -> language_model_pb2.Neighbor:
    return language_model_pb2.Neighbor(
        token_id=value.token_id,
        distance=value.distance,
        weight=value.weight,
        occurrence=messages.occurrence(value.occurrence),
    )


Event: TypeAlias = GeneratedTokens | Finished | Retrieved | Citation | Exception | status_pb2.Status


class EventWriter:
    """Writes the events of `items` items into messages of a stream: the one that ends the last item has the info."""

    def __init__(
        self, message: type[Any], items: int, info: common_pb2.ReplyInfo, with_log_probabilities: bool
    ) -> None:
        self._message = message
        self._left = items
        self._info = info
        self._info.usage.items = items
        self._with_log_probabilities = with_log_probabilities

    def __call__(self, item: int, event: Event) -> Any:
        """The message of an event of item `item`; an error or a Finished is its last one."""
        message = self._message(item=item)
        match event:
            case GeneratedTokens():
                message.tokens.token_ids.extend(event.token_ids)
                message.tokens.text = event.text
                if self._with_log_probabilities:
                    message.tokens.log_probabilities.extend(event.log_probabilities)
            case Retrieved():
                message.retrieved.left_out = event.left_out
                message.retrieved.hits.extend(map(messages.hit, event.hits))
            case Citation():
                message.citation.CopyFrom(
                    language_model_pb2.Citation(begin=event.begin, end=event.end, hits=event.hits)
                )
            case Finished():
                message.finished.CopyFrom(_finished(event))
                self._info.usage.tokens += event.prompt_tokens + event.generated_tokens
                self._end(message)
            case _:
                message.error.CopyFrom(event if isinstance(event, status_pb2.Status) else to_status(event))
                self._end(message)
        return message

    def _end(self, message: Any) -> None:
        self._left -= 1
        if not self._left:
            message.info.CopyFrom(self._info)


def _finished(event: Finished) -> language_model_pb2.Finished:
    return language_model_pb2.Finished(
        reason=_REASONS[event.reason],
        prompt_tokens=event.prompt_tokens,
        generated_tokens=event.generated_tokens,
        forwards=event.forwards,
    )
