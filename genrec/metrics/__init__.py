"""Metrics, one a file. Unscored is not zero: a NaN raises, so that the caller leaves the row out and counts it."""

from genrec.metrics.accuracy import accuracy, best_threshold
from genrec.metrics.auc import auc
from genrec.metrics.brier import brier
from genrec.metrics.coverage import coverage
from genrec.metrics.ece import ece
from genrec.metrics.gauc import Grouped, UserAuc, gauc, uauc, user_auc
from genrec.metrics.hit_rate import hit_rate
from genrec.metrics.log_loss import log_loss
from genrec.metrics.mean import mean
from genrec.metrics.mrr import mrr
from genrec.metrics.ndcg import ndcg
from genrec.metrics.pcoc import pcoc
from genrec.metrics.ranks import ranks
from genrec.metrics.recall import recall
from genrec.metrics.reliability import Bin, reliability
from genrec.metrics.roc import Point, roc

__all__ = [
    "Bin",
    "Grouped",
    "Point",
    "UserAuc",
    "accuracy",
    "auc",
    "best_threshold",
    "brier",
    "coverage",
    "ece",
    "gauc",
    "hit_rate",
    "log_loss",
    "mean",
    "mrr",
    "ndcg",
    "pcoc",
    "ranks",
    "recall",
    "reliability",
    "roc",
    "uauc",
    "user_auc",
]
