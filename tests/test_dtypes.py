"""A processor without bfloat16 arithmetic computes in float32, and says so."""

from collections.abc import Iterator

import pytest
import torch

from prompts import dtypes
from prompts.dtypes import runnable


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    runnable.cache_clear()
    yield
    runnable.cache_clear()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has bfloat16")
@pytest.mark.parametrize(("able", "found"), [(True, "bfloat16"), (False, "float32")])
def test_bfloat16_is_left_to_processors_that_have_it(
    able: bool, found: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dtypes, "_multiplies_bfloat16", lambda: able)
    assert [runnable("bfloat16"), runnable("bfloat16"), runnable("float32")] == [found, found, "float32"]
    said = capsys.readouterr().err.splitlines()
    assert said == ([] if able else ["this processor has no bfloat16 arithmetic: computing in float32"])


def test_this_processor_is_asked_without_an_error() -> None:
    assert dtypes._multiplies_bfloat16() in (True, False)
