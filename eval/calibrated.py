"""Calibration of any scorer: fitted on its answers to the valid split, applied to its answers to the test split.

Click and convert share the chain's two lines, fitted together: reported of each is what is kept and served of both.
"""

import pandas as pd

from eval.answers import scored
from genrec.calibration import Calibration, ChainCalibration, fit_chain
from genrec.chain import CTCVR

Line = Calibration | ChainCalibration


def fit_line(task: str, valid: pd.DataFrame) -> Line:
    """The line of a binary task; for ctcvr the click's first, then the conversion's on ctcvr's log loss."""
    answered = scored(valid)
    if task == CTCVR:
        return fit_chain(
            answered.click, answered.convert, answered.p_click, answered.p_convert, answered.weight.to_numpy()
        )
    return Calibration.fit(answered.label, answered.p, answered.weight.to_numpy())


def fit_chain_line(valid: pd.DataFrame) -> ChainCalibration | None:
    """The lines of click and convert, from answers to ctcvr; None where a click that was scored has no conversion
    beside it, as in a file that holds conversions of clicked impressions alone."""
    answered = scored(valid)
    if answered.empty or len(answered) < valid.p_click.notna().sum():
        return None
    line = fit_line(CTCVR, answered)
    assert isinstance(line, ChainCalibration)
    return line


def apply_line(line: Line, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers with calibrated probabilities; what was not scored stays so."""
    if isinstance(line, ChainCalibration):
        chained = line.apply(answers.p_click, answers.p_convert)
        return answers.assign(p_click=chained.ctr, p_convert=chained.cvr, p=chained.ctcvr)
    return answers.assign(p=line.apply(answers.p))
