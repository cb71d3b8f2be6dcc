"""Calibration of any scorer: fitted on its answers to the valid split, applied to its answers to the test split."""

import pandas as pd

from eval.answers import CTCVR, scored
from genrec.calibration import Calibration, ChainCalibration, fit_chain

Line = Calibration | ChainCalibration


def fit_line(task: str, valid: pd.DataFrame) -> Line:
    """The line of a binary task; for ctcvr the click's first, then the conversion's on ctcvr's log loss."""
    answered = scored(valid)
    if task == CTCVR:
        return fit_chain(
            answered.click, answered.convert, answered.p_click, answered.p_convert, answered.weight.to_numpy()
        )
    return Calibration.fit(answered.label, answered.p, answered.weight.to_numpy())


def apply_line(line: Line, answers: pd.DataFrame) -> pd.DataFrame:
    """Answers with calibrated probabilities; what was not scored stays so."""
    if isinstance(line, ChainCalibration):
        chained = line.apply(answers.p_click, answers.p_convert)
        return answers.assign(p_click=chained.ctr, p_convert=chained.cvr, p=chained.ctcvr)
    return answers.assign(p=line.apply(answers.p))
