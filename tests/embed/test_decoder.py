"""The decoder: against transformers' own loading, and against itself by other ways of computing."""

import json
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from lodex.embed.backbones.config import MODEL_TYPES
from lodex.embed.decoder import Decoder, fingerprint_decoder
from lodex.embed.encoder import TextEncoder
from lodex.errors import InvalidArgumentError
from tests.embed.conftest import MakeDecoder

IDS = torch.tensor([[0, 17, 250, 3, 99, 17, 4, 42], [0, 5, 6, 7, 8, 9, 10, 11]])
ROPE = {"llama": 20_000.0, "mistral": 10_000.0, "qwen2": 50_000.0, "qwen3": 1e6}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_those_of_transformers(make_decoder: MakeDecoder, model_type: str, tied: bool) -> None:
    """Every model type, with a head of its own or a tied one, gives what from_pretrained gives."""
    rope = {"rope_type": "default", "rope_theta": ROPE[model_type]}
    folder = make_decoder(model_type, tie_word_embeddings=tied, rope_parameters=rope)
    decoder = Decoder.open(folder)
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(IDS).logits
    torch.testing.assert_close(decoder.logits(decoder.forward(IDS).hidden), expected, atol=1e-5, rtol=1e-5)


def test_rope_of_older_files_is_understood(make_decoder: MakeDecoder) -> None:
    """`rope_theta` at the top of config.json, as before transformers 5, turns positions by that base."""
    folder = make_decoder(rope_parameters={"rope_type": "default", "rope_theta": 77.0})
    expected = Decoder.open(folder).forward(IDS).hidden
    text = (folder / "config.json").read_text()
    before = text.index('"rope_parameters"')
    rope = text[before : text.index("}", before) + 1]
    (folder / "config.json").write_text(text.replace(rope, '"rope_theta": 77.0'))
    torch.testing.assert_close(Decoder.open(folder).forward(IDS).hidden, expected)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_cached_states_are_those_of_one_pass(make_decoder: MakeDecoder, model_type: str) -> None:
    """A text given in pieces, each after the past of those before, has the states and keys of the whole."""
    decoder = Decoder.open(make_decoder(model_type))
    whole = decoder.forward(IDS, with_keys=True)
    assert whole.past is None
    pieces, past = [], None
    for part in IDS.split([3, 1, 4], dim=1):
        pieces.append(decoder.forward(part, past=past, keep_past=True, with_keys=True))
        past = pieces[-1].past
    assert whole.keys is not None
    torch.testing.assert_close(torch.cat([piece.hidden for piece in pieces], 1), whole.hidden, atol=1e-5, rtol=1e-5)
    keys = torch.cat([piece.keys for piece in pieces if piece.keys is not None], 1)
    torch.testing.assert_close(keys, whole.keys, atol=1e-5, rtol=1e-5)
    assert decoder.forwards == 4


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_keys_are_the_input_of_the_last_mlp(make_decoder: MakeDecoder, model_type: str) -> None:
    """The key is the normed state between attention and MLP of the last layer, from which the hidden states follow."""
    folder = make_decoder(model_type)
    states = Decoder.open(folder).forward(IDS, with_keys=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).model
    entered: list[Tensor] = []
    model.layers[-1].post_attention_layernorm.register_forward_hook(lambda m, i, out: entered.append(i[0]))
    with torch.no_grad():
        model(IDS)
        layer = model.layers[-1]
        residual = entered[0]
        variance = residual.pow(2).mean(-1, keepdim=True)
        key = residual * torch.rsqrt(variance + model.config.rms_norm_eps) * layer.post_attention_layernorm.weight
        hidden = model.norm(residual + layer.mlp(key))
    assert states.keys is not None
    torch.testing.assert_close(states.keys, key, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(states.hidden, hidden, atol=1e-5, rtol=1e-5)


def test_keys_of_one_thread_are_not_met_by_another(make_decoder: MakeDecoder) -> None:
    """Two threads on one decoder, one of which wants keys, each get what they asked for."""
    decoder = Decoder.open(make_decoder())
    alone = decoder.forward(IDS, with_keys=True).keys
    assert alone is not None
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            decoder.forward(IDS.flip(0))

    other = threading.Thread(target=disturb)
    other.start()
    try:
        for _ in range(100):
            keys = decoder.forward(IDS, with_keys=True).keys
            assert keys is not None
            torch.testing.assert_close(keys, alone)
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize("tied", [False, True])
def test_gathered_logits_are_those_of_the_full_head(make_decoder: MakeDecoder, tied: bool) -> None:
    """The rows of some tokens, one twice and in any order, give the logits that all rows give."""
    decoder = Decoder.open(make_decoder(tie_word_embeddings=tied))
    hidden = decoder.forward(IDS).hidden
    wanted = torch.tensor([9, 257, 0, 9])
    torch.testing.assert_close(decoder.logits_of(hidden, wanted).float(), decoder.logits(hidden)[..., wanted])
    assert decoder.logits_of(hidden[:, -1], wanted).shape == (2, 4)


def test_what_pads_a_row_on_the_right_is_not_seen(make_decoder: MakeDecoder) -> None:
    """Attention is causal: the states of a shorter row do not change with what stands behind it."""
    decoder = Decoder.open(make_decoder())
    other = IDS.clone()
    other[0, 5:] = 200
    torch.testing.assert_close(decoder.forward(other).hidden[0, :5], decoder.forward(IDS).hidden[0, :5])


def test_the_configuration_says_where_texts_begin_and_end(make_decoder: MakeDecoder) -> None:
    """BOS begins a text, or EOS where there is no BOS; several EOS are kept; neither is an error."""
    decoder = Decoder.open(make_decoder(), name="mine")
    assert (decoder.name, decoder.start_id, decoder.eos_ids, decoder.max_tokens) == ("mine", 0, (1,), 24)
    several = Decoder.open(make_decoder("qwen3", "several", bos_token_id=None, eos_token_id=[7, 8]))
    assert (several.name, several.start_id, several.eos_ids) == ("several", 7, (7, 8))
    with pytest.raises(InvalidArgumentError, match="neither bos_token_id nor eos_token_id"):
        Decoder.open(make_decoder("qwen2", "none", bos_token_id=None, eos_token_id=None))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"model_type": "bert"}', "model_type is 'bert', expected one of llama, mistral, qwen2, qwen3"),
        ("{}", "model_type is None"),
        ("[1]", "holds list, expected an object"),
        ("{", "is not JSON"),
        ('{"model_type": "llama", "hidden_size": "many"}', "config.json"),
        ('{"model_type": "llama", "num_hidden_layers": -1}', "num_hidden_layers is -1"),
        ('{"model_type": "llama", "is_causal": false}', "bidirectional"),
    ],
)
def test_a_configuration_of_another_sort_is_refused(make_decoder: MakeDecoder, content: str, complaint: str) -> None:
    """What config.json does not say rightly is told by the file and the value, before any weight is read."""
    folder = make_decoder()
    (folder / "config.json").write_text(content)
    with pytest.raises(InvalidArgumentError, match=complaint):
        Decoder.open(folder)


def test_code_beside_a_model_is_not_run(make_decoder: MakeDecoder) -> None:
    """A folder whose config.json names classes of its own is opened as the model type it states."""
    folder = make_decoder()
    expected = Decoder.open(folder).forward(IDS).hidden
    (folder / "evil.py").write_text("raise SystemExit('run')")
    text = (folder / "config.json").read_text()
    classes = '{"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}'
    (folder / "config.json").write_text(text.replace("{", f'{{"auto_map": {classes},', 1))
    torch.testing.assert_close(Decoder.open(folder).forward(IDS).hidden, expected)


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    """An empty folder is no model."""
    with pytest.raises(InvalidArgumentError, match=r"no config\.json"):
        Decoder.open(tmp_path)


def test_the_fingerprint_is_of_weights_and_configuration(make_decoder: MakeDecoder) -> None:
    """It stays through a change of layout in config.json, and changes with a value or a bit."""
    folder = make_decoder()
    first = fingerprint_decoder(folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    config.write_text(config.read_text().replace("\n", " "))
    assert fingerprint_decoder(folder) == first
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    second = fingerprint_decoder(folder)
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rms_norm_eps": 0.1}))
    assert len({first, second, fingerprint_decoder(folder)}) == 3


@pytest.mark.parametrize("device", ["cpux", "cuda:99"])
def test_a_device_that_is_not_there_is_named(make_decoder: MakeDecoder, device: str) -> None:
    """A wrong or absent device is wrong input, for a decoder and for an embedder."""
    folder = make_decoder()
    for open_model in (Decoder.open, TextEncoder.open):
        with pytest.raises(InvalidArgumentError, match=device):
            open_model(folder, "x", device)


@pytest.mark.parametrize("activation", ["silu", "gelu"])
def test_a_packed_decoder_has_the_same_states_in_every_batch(make_decoder: MakeDecoder, activation: str) -> None:
    """Bit for bit alone and among others, and those of the plain decoder up to rounding."""
    folder = make_decoder(hidden_act=activation, intermediate_size=43)
    plain = Decoder.open(folder)
    before = plain.forward(IDS).hidden
    packed = plain.packed()
    assert torch.equal(plain.forward(IDS).hidden, before)
    together = packed.forward(IDS, with_keys=True)
    torch.testing.assert_close(together.hidden, plain.forward(IDS).hidden, atol=1e-5, rtol=1e-5)
    alone = packed.forward(IDS[1:], with_keys=True)
    assert together.keys is not None
    assert alone.keys is not None
    assert torch.equal(together.hidden[1:], alone.hidden)
    assert torch.equal(together.keys[1:], alone.keys)
