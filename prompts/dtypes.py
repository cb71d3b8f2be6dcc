"""What a model computes in: a number type by name, and what this processor can multiply."""

import sys
from functools import cache

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@cache
def runnable(dtype: str) -> str:
    """What to compute in here: float32 in the place of bfloat16 on a processor that can only emulate its arithmetic.

    Without AVX-512, AMX or their like a product of bfloat16 matrices is some eighty times slower than one of float32.
    """
    if dtype != "bfloat16" or torch.cuda.is_available() or _multiplies_bfloat16():
        return dtype
    print("this processor has no bfloat16 arithmetic: computing in float32", file=sys.stderr, flush=True)
    return "float32"


def _multiplies_bfloat16() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
