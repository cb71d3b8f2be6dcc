"""A file of predictions is read row by row, refused with its line, and what it does not hold is not scored."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_shop import shop

from eval.baselines.file import FilePredictions
from genrec.errors import UserError


class TestFilePredictions:
    def file(self, tmp_path: Path, suffix: str = ".csv") -> Path:
        rows = shop().rows("click", "test")
        frame = (
            shop()
            .examples.iloc[rows][["task", "user_id", "item_id", "ts"]]
            .assign(p=np.linspace(0, 1, len(rows)))
        )
        path = tmp_path / f"theirs{suffix}"
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False)
        return path

    @pytest.mark.parametrize("suffix", [".csv", ".parquet"])
    def test_finds_every_example(self, tmp_path: Path, suffix: str) -> None:
        rows = shop().rows("click", "test")
        theirs = FilePredictions(self.file(tmp_path, suffix))
        assert theirs.name == "theirs"
        np.testing.assert_allclose(theirs.predict(shop(), rows), np.linspace(0, 1, len(rows)))

    def test_reads_iso_times(self, tmp_path: Path) -> None:
        path = self.file(tmp_path)
        frame = pd.read_csv(path)
        frame["ts"] = pd.to_datetime(frame.ts, unit="us", utc=True).map(lambda moment: moment.isoformat())
        frame.to_csv(path, index=False)
        assert not np.isnan(FilePredictions(path).predict(shop(), shop().rows("click", "test"))).any()

    def test_a_missing_row_is_not_scored(self, tmp_path: Path) -> None:
        path = self.file(tmp_path)
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
        p = FilePredictions(path).predict(shop(), shop().rows("click", "test"))
        assert np.isnan(p).tolist() == [True] + [False] * (len(p) - 1)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda lines: [lines[0].replace(",p", ",score"), *lines[1:]], "No column 'p'"),
            (lambda lines: [lines[0], lines[1], lines[1]], r"two predictions\n.*line 3"),
            (lambda lines: [lines[0], lines[1].rpartition(",")[0] + ",1.5"], r"p is 1.5\n.*line 2, column p"),
            (lambda lines: [lines[0], lines[1].rpartition(",")[0] + ",high"], "wrong type.*\n.*column p"),
        ],
    )
    def test_refuses_what_cannot_be_read(self, tmp_path: Path, change: object, message: str) -> None:
        path = self.file(tmp_path)
        assert callable(change)
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
        with pytest.raises(UserError, match=message):
            FilePredictions(path)
