"""Our model as eval asks it, behind the mock engine: prompts and bookkeeping without a language model."""

from random_engine import RandomEngine

from eval.ours import Genrec
from genrec.dataset import Prepared
from prompts.adapter import histories_of, layout_of
from prompts.base_files import BUILT_IN
from prompts.language_model import load_tokenizer


def ours(data: Prepared) -> Genrec:
    tokenizer = load_tokenizer(BUILT_IN)
    layout, engine = layout_of(data, tokenizer), RandomEngine(vocabulary=len(tokenizer))
    return Genrec("genrec", layout, histories_of(data, layout, 120), engine, "of no weights", nodes=0)
