"""Kernels in Triton are compiled for GPUs that are not there: what the interpreter takes, a compiler may refuse."""

import inspect
import re
from typing import Any

import pytest

pytest.importorskip("triton", reason="kernels are compiled by Triton, of the extra [gpu]")

STATES = {"x": "T", "norm_weight": "T", "norm_bias": "T", "mean": "*fp32", "scale": "*fp32"}
# Module, kernel, types of its arguments (T: a pointer to the dtype at hand, i32 where none is named), what is constant
# with B the bytes of an element, and the stages of loads ahead.
KERNELS: list[tuple[str, str, dict[str, str], dict[str, int], int]] = [
    ("latent_attention_triton", "latent_shares_kernel", {**STATES, "scores": "T", "shares": "T"},
     {"BLOCK_N": 64, "BLOCK_R": 512, "BLOCK_H": 64}, 2),
    ("latent_attention_triton", "add_product_kernel",
     {"x": "T", "factors": "T", "weight": "T", "bias": "T", "y": "T"},
     {"HAS_BIAS": True, "BLOCK_N": 64, "BLOCK_O": 128, "BLOCK_I": 128}, 3),
    ("latent_attention_triton", "gated_means_kernel",
     {**STATES, "gated": "T", "gated_bias": "T", "begins": "*i32", "out": "*fp32"},
     {"BLOCK_N": 64, "BLOCK_M": 128, "BLOCK_H": 128}, 3),
    ("latent_attention_triton", "moments_kernel", {"x": "T", "mean": "*fp32", "scale": "*fp32", "eps": "fp32"},
     {"BLOCK_H": 4096}, 3),
    ("latent_attention_triton", "means_kernel", {"x": "T", "begins": "*i32", "out": "*fp32"},
     {"BLOCK_N": 64, "BLOCK_H": 128}, 3),
    ("splade_pool_triton", "max_products_kernel", {"states": "T", "begins": "*i32", "weight": "T", "maxima": "*fp32"},
     {"BLOCK_N": 64, "BLOCK_V": 128, "BLOCK_H": 128}, 3),
]  # fmt: skip
# Columns of a tile that are counted in bytes.
IN_BYTES = {"latent_shares_kernel": "BLOCK_H", "add_product_kernel": "BLOCK_I", "gated_means_kernel": "BLOCK_H",
            "max_products_kernel": "BLOCK_H"}  # fmt: skip


def compiled(kernel: Any, types: dict[str, str], constants: dict[str, Any], stages: int, dtype: str, cap: int) -> Any:
    """As the first call on a GPU compiles it, for arguments that are multiples of 16."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = list(inspect.signature(kernel.fn).parameters)
    signature = {n: "constexpr" if n in constants else types.get(n, "i32").replace("T", f"*{dtype}") for n in names}
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i, n in enumerate(names) if n not in constants and n != "eps"},
    )
    options = {"num_warps": 8, "num_stages": stages}
    return triton.compile(source, target=GPUTarget("cuda", cap, 32), options=options)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "cap"), [("bf16", 90), ("bf16", 80), ("fp16", 90), ("fp32", 90)])
@pytest.mark.parametrize(("module", "name", "types", "constants", "stages"), KERNELS, ids=[k[1] for k in KERNELS])
def test_it_compiles(
    module: str, name: str, types: dict[str, str], constants: dict[str, int], stages: int, dtype: str, cap: int
) -> None:
    """For a Hopper and an Ampere GPU, within the shared memory of either; half precision by tensor cores."""
    kernel = getattr(__import__(f"lodex.kernels.{module}", fromlist=[name]), name)
    values: dict[str, Any] = dict(constants)
    if name in IN_BYTES:
        values[IN_BYTES[name]] //= 4 if dtype == "fp32" else 2
    if "PRECISION" in inspect.signature(kernel.fn).parameters:
        values["PRECISION"] = "ieee" if dtype == "fp32" else "tf32"
    found = compiled(kernel, types, values, stages, dtype, cap)
    assert found.metadata.shared <= (227 if cap == 90 else 163) * 1024
    if "PRECISION" in values and dtype != "fp32":
        assert re.search("wgmma.mma_async" if cap == 90 else "mma.sync", found.asm["ptx"])
