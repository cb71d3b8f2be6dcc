"""A model's layers compiled for this processor: what stands between two matrix products becomes one loop."""

import os
import sys

import torch
from transformers import AttentionInterface
from transformers.modeling_layers import GradientCheckpointingLayer

from genrec.sources.wheels import cache_folder
from prompts.attention import NAME
from prompts.transformers_attention import shared_context_attention

FOLDER = "TORCHINDUCTOR_CACHE_DIR"  # where torch keeps what it has compiled


def compile_layers(model: torch.nn.Module) -> int:
    """Let torch compile each layer at its first pass, for rows of any length; returns how many layers there are.

    The attention over packed rows stays as it is. What was compiled is kept on disk, so later runs only trace the
    model anew. Where torch cannot compile, as without a C++ compiler, nothing is, and one line says so.
    """
    os.environ.setdefault(FOLDER, str(cache_folder() / "compiled"))
    if problem := _problem():
        print(f"training goes on without compiled layers: {problem}", file=sys.stderr, flush=True)
        return 0
    AttentionInterface.register(NAME, torch.compiler.disable(shared_context_attention))
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.compile(dynamic=True)
    return len(layers)


def _problem() -> str:
    """Why nothing can be compiled here, such as for want of a C++ compiler; "" where it can."""
    try:
        torch.compile(_probe)(torch.ones(64))
    except (RuntimeError, OSError) as error:
        return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ""


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1
