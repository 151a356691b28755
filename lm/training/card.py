"""The model card of a language model: what it was trained on, how, at what cost, and what it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lodex.embed.training.llama import LlamaShape
from lodex.embed.training.trainer import Log
from lodex.lm.training.text import TrainingText

if TYPE_CHECKING:
    from lodex.lm.training.run import Measured, Recipe


def write_card(
    folder: Path, shape: LlamaShape, text: TrainingText, recipe: Recipe, log: Log, measured: Sequence[Measured]
) -> None:
    """Write README.md; every figure in it is of this training."""
    rows = "\n".join(f"| {m.name} | {m.tokens:,} | {m.text_bytes:,} | {m.bits_per_byte:.4f} |" for m in measured)
    (folder / "README.md").write_text(
        f"""# {folder.name}

A Llama of {shape.parameters:,} parameters ({shape.layers} layers, {shape.hidden} wide, {shape.heads} heads, MLP of
{shape.intermediate}, context of {shape.context:,} tokens, tied embeddings) over the tokenizer
`{text.tokenizer.name}` ({shape.vocab_size:,} ids; its EOS begins and ends every text). bfloat16 safetensors in
transformers' layout.

It is small. It shows what reading a datastore adds to a language model, and it stands in tests and demonstrations where
a large one would not fit; it does not follow instructions and knows little.

## Data

{text.train_documents:,} documents of one Lodex store, {text.train_bytes:,} bytes, {len(text.train):,} tokens. By a hash
of their ids {len(text.dev):,} further documents of the store were kept apart ({recipe.dev_share:.0%}).

## Training

`lodex train lm`: windows of {shape.context // 2} tokens while the learning rate is flat and of {shape.context} while it
falls, 8,192 tokens a step; Muon for the matrices (0.02), AdamW for embedding and norms (0.003), weight decay 0.1,
clipping at 1.0; warm-up over 3 %, linear decay over the last 30 % of the budget; bfloat16 with float32 masters; seed
{recipe.seed}.

Cost: {log.steps:,} steps, {log.tokens:,} tokens ({log.tokens / max(1, len(text.train)):.2f} times the text),
{log.seconds / 60:.0f} minutes, {log.cpu_seconds:,.0f} CPU seconds. It ended with its budget, {_trend(log)}.

![Losses](loss.png)

## Bits per byte on what it did not see

Each text is scored as one document, in windows of {shape.context} tokens that overlap by half.

| text | tokens | bytes | bits per byte |
|---|---|---|---|
{rows}
""",
        encoding="utf-8",
    )


def _trend(log: Log) -> str:
    """What the last measurements say of a training that ends now."""
    values = [value for _, value in log.evaluations]
    if len(values) < 3:
        return "too short for a trend"
    falling = values[-1] < min(values[:-2])
    return f"the bits per byte of what was kept apart {'still falling' if falling else 'falling no more'}"
