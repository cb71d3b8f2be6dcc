"""Embeddings beside a vLLM that generates, which pools nothing: the model once more, in its server's process.

It is the torch engine's, loaded when something is first embedded; from then on the model's memory is taken twice.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from serve.child.line import OneAtATime

if TYPE_CHECKING:
    from serve.torch_engine import TorchEngine


class SecondCopy:
    """folder, dtype: of the weights that vLLM serves."""

    def __init__(self, folder: str, dtype: str) -> None:
        self._folder, self._dtype, self._line = folder, dtype, OneAtATime()

    async def embed(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """As Engine.embed; in a thread of its own, which loads the model first where that has not been done."""
        return await self._line.run(lambda: self._engine.embed(prompts))

    @cached_property
    def _engine(self) -> "TorchEngine":
        from serve.torch_engine import load

        return load(self._folder, self._dtype)
