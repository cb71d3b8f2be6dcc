"""What counting knows of users and items at a moment: one definition for training, eval and serving."""

from genrec.statistics.counts import COLUMNS, PRIOR
from genrec.statistics.item_kernel import TRACKED_ITEMS
from genrec.statistics.statistics import Outcome, Statistics

__all__ = ["COLUMNS", "PRIOR", "TRACKED_ITEMS", "Outcome", "Statistics"]
