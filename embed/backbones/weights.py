"""The weights of a model's folder, one safetensors file or several, put into a model strictly and one at a time."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lodex.errors import DataLossError, InvalidArgumentError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
# What old files keep as if they were weights, and follows from config.json.
_DERIVED = ("rotary_emb.inv_freq", "embeddings.position_ids")
# Names of the first releases, in which BERT's own files still are.
_OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, by name; InvalidArgumentError where there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / SHARDS).is_file():
        try:
            names = sorted(set(json.loads((folder / SHARDS).read_bytes())["weight_map"].values()))
            foreign = next((name for name in names if Path(name).name != name), None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidArgumentError(f"{folder / SHARDS} cannot be read: {error!r}", "model") from error
        if foreign is not None:
            raise InvalidArgumentError(f"{folder / SHARDS} names {foreign!r}, which is not in the folder", "model")
        return [folder / name for name in names]
    raise InvalidArgumentError(f"{folder} is not a model's folder: no {WEIGHTS} and no {SHARDS}", "model")


class TensorFiles:
    """The tensors of a folder by name, each read when it is asked for; those that follow from config.json are not told.

    BERT's `gamma` and `beta` are called weight and bias, as everywhere else. InvalidArgumentError for a file that is
    missing and for a name in two files, DataLossError for a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: dict[str, tuple[Path, str]] = {}  # name -> its file and its name there
        for path in weight_files(folder):
            with _opened(path) as file:
                stated = list(file.keys())
            for name in stated:
                known = name
                for old, new in _OLD_NAMES:
                    known = known.replace(old, new)
                if known in self._places:
                    raise InvalidArgumentError(f"{path} and {self._places[known][0]} both hold {known}", "model")
                if not known.endswith(_DERIVED):
                    self._places[known] = (path, name)

    @property
    def names(self) -> Collection[str]:
        """The names of all tensors."""
        return self._places.keys()

    def read(self, wanted: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """Tensors by name, one file after another, one in memory at a time."""
        by_file: dict[Path, list[str]] = {}
        for name in wanted:
            by_file.setdefault(self._places[name][0], []).append(name)
        for path, names in by_file.items():
            with _opened(path) as file:
                for name in names:
                    yield name, file.get_tensor(self._places[name][1])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise InvalidArgumentError(f"{path} is named by {SHARDS} and missing", "model") from error
    except SafetensorError as error:
        raise DataLossError(f"{path} cannot be read: {error}") from error


def find_prefix(files: TensorFiles, body: str) -> str:
    """What stands before the names of a backbone's tensors: `body` where a tensor has it, else nothing."""
    return body if any(name.startswith(body) for name in files.names) else ""


def load_module(
    module: nn.Module,
    files: TensorFiles,
    prefix: str = "",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    excused: tuple[str, ...] = (),
) -> None:
    """Put the tensors under `prefix` into a module, which may lie on the meta device, in a dtype, one after another.

    So a model takes its own size and one tensor more, whatever the dtype of its files. Parameters need no gradient.
    InvalidArgumentError names the tensors that are missing, left over or misshapen, but for those left over whose names
    behind the prefix begin with one of `excused`.
    """
    targets: dict[str, Tensor] = dict(module.state_dict(keep_vars=True))
    below = {name.removeprefix(prefix): name for name in files.names if name.startswith(prefix)}
    _refuse(files.folder, "Missing", [prefix + name for name in targets.keys() - below.keys()])
    further = below.keys() - targets.keys()
    _refuse(files.folder, "Unexpected", [prefix + name for name in further if not name.startswith(excused)])
    for name, tensor in files.read([below[name] for name in targets]):
        own = name.removeprefix(prefix)
        if tensor.shape != targets[own].shape:
            shapes = f"{tuple(tensor.shape)}, expected {tuple(targets[own].shape)}"
            raise InvalidArgumentError(f"{_unfitting(files.folder)}: size mismatch for {name}: {shapes}", "model")
        parent, _, last = own.rpartition(".")
        # A copy even where nothing changes: the tensor of a file is the file, mapped into memory.
        weight = nn.Parameter(tensor.to(device, dtype, copy=True), requires_grad=False)
        module.get_submodule(parent).register_parameter(last, weight)


def refuse_left_over(files: TensorFiles, prefixes: tuple[str, ...]) -> None:
    """InvalidArgumentError names tensors under none of the prefixes."""
    _refuse(files.folder, "Unexpected", [name for name in files.names if not name.startswith(prefixes)])


def _refuse(folder: Path, what: str, names: Collection[str]) -> None:
    if names:
        raise InvalidArgumentError(f"{_unfitting(folder)}: {what} key(s): {', '.join(sorted(names))}", "model")


def _unfitting(folder: Path) -> str:
    return f"{folder} holds weights that are not of its {CONFIG}"
