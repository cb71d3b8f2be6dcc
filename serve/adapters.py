"""Opens an adapter with its model in this process."""

from pathlib import Path

from genrec.dataset import Prepared
from prompts.adapter import AdapterCard
from prompts.base_files import fingerprint
from prompts.tokens import tokenizer_of
from serve.engines import open_engine
from serve.served import Served, served


def open_adapter(
    folder: Path, data: Prepared, base: str = "", regime: str = "", engine: str = "auto", dtype: str = ""
) -> Served:
    """An adapter, merged into its base, on the data set that it serves.

    base: where its model is kept here. regime: as serve.served.served. engine: a kind of serve.engines.
    dtype: the adapter's own if "".
    """
    card = AdapterCard.load(folder)
    name = base or card.base["name"]
    card.check_base(name, fingerprint(name), folder)
    return served(
        folder, card, data, tokenizer_of(name), open_engine(engine, name, dtype or card.dtype, folder), regime
    )
