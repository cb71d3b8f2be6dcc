"""Candidates a second: `python -m serve.bench` scores 200 candidates of 11 tokens behind a context of 464 tokens.

Cold: the context is new to the engine. Warm: it was read before. The two alternate over several rounds, so that what
else the machine does touches both; the median, the least and the most are printed as JSON.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence

import numpy as np
import torch

from prompts.language_model import BUILT_IN, DTYPES, load_tokenizer
from prompts.layout import Question
from serve.engine import Engine, Request
from serve.torch_engine import TorchEngine, load

CONTEXT, CANDIDATES, TOKENS = 464, 200, 11


def workload(tokenizer_size: int, seed: int, round_number: int) -> Request:
    """The same candidates behind a context of the round's own."""
    tokens = np.random.default_rng(seed).integers(300, tokenizer_size, (CANDIDATES, TOKENS))
    context = np.random.default_rng([seed, round_number]).integers(300, tokenizer_size, CONTEXT)
    questions = [Question(tuple(ids), (10407, 4607)) for ids in tokens.tolist()]
    return Request(tuple(context.tolist()), questions)


def seconds(engine: Engine, request: Request) -> tuple[float, float]:
    """Wall and processor time of one scoring."""
    wall, work = time.perf_counter(), time.process_time()
    engine.score([request])
    return time.perf_counter() - wall, time.process_time() - work


def measure(engine: TorchEngine, tokenizer_size: int, rounds: int) -> dict[str, object]:
    cold, warm = [], []
    engine.score([workload(tokenizer_size, 0, rounds)])  # the first call of a process is slower
    for number in range(rounds):
        request = workload(tokenizer_size, 0, number)
        engine.cache.clear()
        cold.append(seconds(engine, request))
        warm.append(seconds(engine, request))
    return {"cold": summary(cold), "warm": summary(warm)}


def summary(timed: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Candidates a second; and how many of the cores' seconds were ours, 1 on a machine that does nothing else."""
    rates = np.array([CANDIDATES / wall for wall, _ in timed])
    busy = np.array([work / (wall * torch.get_num_threads()) for wall, work in timed])
    return {
        "candidates_per_second": round(float(np.median(rates)), 1),
        "least": round(float(rates.min()), 1),
        "most": round(float(rates.max()), 1),
        "share_of_cores": round(float(np.median(busy)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m serve.bench", description=__doc__)
    parser.add_argument("--model", default=BUILT_IN)
    parser.add_argument("--dtype", default="bfloat16", choices=sorted(DTYPES))
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    engine = load(chosen.model, chosen.dtype)
    result = {
        "engine": engine.name,
        "model": chosen.model,
        "context_tokens": CONTEXT,
        "candidates": CANDIDATES,
        "candidate_tokens": TOKENS,
        "rounds": chosen.rounds,
        **measure(engine, len(load_tokenizer(chosen.model)), chosen.rounds),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "torch": torch.__version__,
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
