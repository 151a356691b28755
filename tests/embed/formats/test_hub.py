"""Finding a decoder: folders as they are, hub names without code or pickles, and plain words where there is nothing."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from lodex.embed.formats.hub import decoder_folder
from lodex.embed.registry import load_encoder
from lodex.errors import NotFoundError
from tests.embed.conftest import MakeDecoder


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is not looked for anywhere else, even if it has the form of a hub name."""
    (tmp_path / "owner/model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert decoder_folder("owner/model") == Path("owner/model")


@pytest.mark.parametrize(
    "name", ["nothing", "/no/such/folder", "a/b/c", "../x", "", "owner/../x", Path("/owner/model")]
)
def test_what_is_no_folder_and_no_hub_name_is_not_found(name: str | Path) -> None:
    """Nothing is asked of the hub for what cannot be one of its names."""
    with pytest.raises(NotFoundError, match="it is no folder"):
        decoder_folder(name)


def test_offline_only_the_cache_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With HF_HUB_OFFLINE a name that is not in the cache is not found, and the message says why."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotFoundError, match=r"'owner/model'.*HF_HUB_OFFLINE is set"):
        decoder_folder("owner/model")


def test_of_the_hub_only_data_is_fetched(monkeypatch: pytest.MonkeyPatch, make_decoder: MakeDecoder) -> None:
    """The patterns let through configuration, safetensors and tokenizer, no Python and no pickle; the name is kept."""
    folder = make_decoder()
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load_encoder("owner/model").info.name == "owner/model"
    assert load_encoder(Path("owner/model")).info.name == "owner/model"
    files = ["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json", "modules.json"]
    files += ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "lodex.json"]
    others = [
        "modeling.py",
        "pytorch_model.bin",
        "model.ckpt",
        "consolidated.safetensors",
        "1_Pooling/x.py",
        "onnx/config.json",
    ]
    wanted = huggingface_hub.utils.filter_repo_objects(files + others, allow_patterns=asked["allow_patterns"])
    assert list(wanted) == files
    assert asked["name"] == "owner/model"


def test_a_hub_that_does_not_answer_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the hub says no by, the error names the model."""

    def refuse(name: str, **options: Any) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(NotFoundError, match=r"'owner/model'.*no route"):
        decoder_folder("owner/model")
