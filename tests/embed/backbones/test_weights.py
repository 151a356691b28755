"""Putting weights into a decoder: strictly, from one file or several, and from none that is damaged."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from lodex.embed.backbones.weights import weight_files
from lodex.embed.decoder import Decoder
from lodex.embed.encoder import TextEncoder
from lodex.errors import DataLossError, InvalidArgumentError
from tests.embed.conftest import MakeDecoder

IDS = torch.tensor([[0, 17, 250, 3]])
Change = Callable[[dict[str, Tensor]], object]
Q = "model.layers.1.self_attn.q_proj.weight"


def rewrite(folder: Path, change: Change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file({name: weight.clone() for name, weight in weights.items()}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda weights: weights.pop(Q), rf"Missing key.*{Q}"),
        (lambda weights: weights.pop("lm_head.weight"), r"Missing key.*lm_head\.weight"),
        (lambda weights: weights.update({"model.layers.2.more": torch.zeros(1)}), r"Unexpected key.*layers\.2\.more"),
        (lambda weights: weights.update({Q: weights[Q][:-1]}), rf"size mismatch for {Q}"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(make_decoder: MakeDecoder, change: Change, complaint: str) -> None:
    """A missing, further or misshapen weight is an error: no part of the model stays random unnoticed."""
    folder = make_decoder()
    rewrite(folder, change)
    with pytest.raises(InvalidArgumentError, match=f"(?s){complaint}"):
        Decoder.open(folder)


@pytest.mark.parametrize("change", [lambda weights: weights.pop(Q), lambda weights: weights.update({"more": IDS})])
def test_embedders_are_as_strict(make_decoder: MakeDecoder, change: Change) -> None:
    """The LM head alone may be left out of an embedder."""
    folder = make_decoder()
    rewrite(folder, change)
    with pytest.raises(InvalidArgumentError, match=r"(?s)(Missing|Unexpected) key"):
        TextEncoder.open(folder, "broken")


def test_weights_without_prefix_are_those_of_a_backbone(make_decoder: MakeDecoder) -> None:
    """A base model's file, as embedders are published, gives the vectors of the causal model's."""
    folder = make_decoder()
    expected = TextEncoder.open(folder, "a").embed_queries(["abc"]).vectors
    weights = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("model."): weight for name, weight in weights.items() if name != "lm_head.weight"}
    save_file(bare, folder / "model.safetensors")
    assert (TextEncoder.open(folder, "b").embed_queries(["abc"]).vectors == expected).all()
    with pytest.raises(InvalidArgumentError, match="Missing key"):
        Decoder.open(folder)


def test_a_tied_head_may_be_there_and_must_be_equal(make_decoder: MakeDecoder) -> None:
    """A head that config.json ties and that the file has otherwise is a contradiction."""
    folder = make_decoder(tie_word_embeddings=True)
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    rewrite(folder, lambda weights: weights.update({"lm_head.weight": embedding}))
    Decoder.open(folder)
    rewrite(folder, lambda weights: weights.update({"lm_head.weight": embedding + 1}))
    with pytest.raises(InvalidArgumentError, match=r"lm_head\.weight is tied"):
        Decoder.open(folder)


def test_frequencies_in_old_files_are_passed_over(make_decoder: MakeDecoder) -> None:
    """Rotary frequencies follow from config.json; older releases saved them for every layer."""
    folder = make_decoder()
    rewrite(folder, lambda weights: weights.update({"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}))
    Decoder.open(folder)


def test_half_precision_files_are_computed_in_float32(make_decoder: MakeDecoder) -> None:
    """bfloat16 weights are widened, and every state is float32."""
    folder = make_decoder()
    rewrite(folder, lambda weights: weights.update({name: w.bfloat16() for name, w in weights.items()}))
    decoder = Decoder.open(folder)
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(IDS).logits
    logits = decoder.logits(decoder.forward(IDS).hidden)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def shard(folder: Path) -> None:
    """The weights in two files and an index, as large models are published."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(weights)}
    for file in set(names.values()):
        save_file({name: weights[name] for name in weights if names[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def test_several_files_are_one_model(make_decoder: MakeDecoder) -> None:
    """An index of two files gives the states of the one file."""
    folder = make_decoder()
    expected = Decoder.open(folder).forward(IDS).hidden
    shard(folder)
    assert [path.name[:11] for path in weight_files(folder)] == ["model-00001", "model-00002"]
    torch.testing.assert_close(Decoder.open(folder).forward(IDS).hidden, expected)


def test_a_missing_file_of_several_is_named(make_decoder: MakeDecoder) -> None:
    """What the index names must be there."""
    folder = make_decoder()
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    for open_model in (Decoder.open, lambda path: TextEncoder.open(path, "x")):
        with pytest.raises(InvalidArgumentError, match=r"model-00002-of-00002\.safetensors is named by"):
            open_model(folder)


@pytest.mark.parametrize(
    ("index", "complaint"),
    [
        ("{", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"weight_map": {"a": 1}}', "cannot be read"),
        ('{"weight_map": {"a": "../model.safetensors"}}', "not in the folder"),
    ],
)
def test_a_wrong_index_is_refused(make_decoder: MakeDecoder, index: str, complaint: str) -> None:
    """An index that is no index, or that leads out of the folder."""
    folder = make_decoder()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InvalidArgumentError, match=complaint):
        Decoder.open(folder)


def test_a_pickle_is_no_weights_file(make_decoder: MakeDecoder) -> None:
    """Without safetensors there is nothing to open, whatever else lies there."""
    folder = make_decoder()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidArgumentError, match=r"no model\.safetensors"):
        Decoder.open(folder)


def test_a_damaged_file_is_data_loss(make_decoder: MakeDecoder) -> None:
    """A file cut short is refused before anything is computed with it."""
    folder = make_decoder()
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(DataLossError, match="cannot be read"):
        Decoder.open(folder)


@pytest.mark.slow
def test_a_model_is_read_in_its_own_size(tmp_path: Path) -> None:
    """Opened in bfloat16 from a file in float32, 120 million parameters take 240 MB and little beside them."""
    program = (
        "import sys, threading, time, pathlib, torch\n"
        "from transformers import AutoConfig\n"
        "from lodex.embed.backbones.meta import build_empty\n"
        "from lodex.embed.backbones.weights import TensorFiles, load_module\n"
        "from transformers import AutoModel\n"
        "def held():\n"
        "    line = next(x for x in open('/proc/self/status') if x.startswith('RssAnon'))\n"
        "    return int(line.split()[1]) / 1024\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "config = AutoConfig.from_pretrained(folder)\n"
        "model, peak, done = build_empty(AutoModel, config, torch.bfloat16), [0.0], threading.Event()\n"
        "before = held()\n"
        "def watch():\n"
        "    while not done.wait(0.002):\n"
        "        peak[0] = max(peak[0], held())\n"
        "thread = threading.Thread(target=watch)\n"
        "thread.start()\n"
        "load_module(model, TensorFiles(folder), '', torch.bfloat16)\n"
        "done.set(); thread.join()\n"
        "print(sum(p.numel() for p in model.parameters()) / 1e6, peak[0] - before)\n"
    )
    config = AutoConfig.for_model(
        "llama", vocab_size=8000, hidden_size=1024, intermediate_size=4096, num_hidden_layers=6
    )
    model = AutoModel.from_config(config, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    del model
    output = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True, text=True
    ).stdout
    millions, held = (float(word) for word in output.split())
    assert held < millions * 2 * 1.2
