"""Two towers of ids: an embedding of the user's id and one of the item's, nothing else.

After the seed article's example model: the embeddings' dot product, a dense layer with ReLU, two sigmoid heads (click,
convert). Each embedding has one component more, which enters the dense layer by itself: what a user or an item does
whatever stands beside it. The convert head learns from clicked impressions, so that it answers P(convert | click).
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from eval.recommender import Floats, Rows
from eval.training import labelled, task_of
from genrec.dataset import Prepared
from genrec.progress import progress

TASKS = ("click", "convert")
UNKNOWN = 0  # the row of ids that training never saw
EPOCHS, PATIENCE = 30, 2  # at most, and without a better loss on valid before training stops


@dataclass(frozen=True)
class TowerSetting:
    """What is searched; the defaults are those that MovieLens-100K's validation split preferred."""

    width: int = 64  # of the embeddings
    hidden: int = 100  # of the dense layer
    learning_rate: float = 0.003
    weight_decay: float = 0.0
    unknown_share: float = (
        0.5  # of ids that training replaces by the unknown one, so that its vector is learned
    )
    batch: int = 1024


ARTICLE = TowerSetting(width=50, learning_rate=0.001, unknown_share=0.05, batch=64)


class Batchable(NamedTuple):
    """Labelled rows as tensors, each (n,): user and item numbers, which head answers, label, weight."""

    users: torch.Tensor
    items: torch.Tensor
    head: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor


class _Towers(nn.Module):
    def __init__(self, users: int, items: int, setting: TowerSetting) -> None:
        super().__init__()
        self.user, self.item = (nn.Embedding(n, setting.width + 1) for n in (users, items))
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.05)
        self.dense, self.heads = nn.Linear(3, setting.hidden), nn.Linear(setting.hidden, len(TASKS))

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        user, item = self.user(users), self.item(items)
        dot = (user[:, 1:] * item[:, 1:]).sum(1)
        together = torch.stack([dot, user[:, 0], item[:, 0]], 1)  # (B, 3)
        out: torch.Tensor = self.heads(torch.relu(self.dense(together)))  # (B, 2) log-odds
        return out


class TwoTower:
    """The best of several settings, each stopped early, by the sum of the tasks' log losses on valid.

    Knows nothing of a user or item that is not in the train split but that it is new; statistics are not used.
    """

    name = "two-tower of ids"

    def __init__(
        self, settings: Sequence[TowerSetting] | None = None, seed: int = 0, epochs: int = EPOCHS
    ) -> None:
        self.settings = settings or searched(12, seed)
        self.seed, self.epochs = seed, epochs
        self.tried: list[tuple[TowerSetting, float]] = []

    def fit(self, data: Prepared, regime: str) -> None:
        self.tasks = [task for task in TASKS if task in data.tasks]
        asked = data.examples.iloc[
            np.concatenate([labelled(data, task, "train").rows for task in self.tasks])
        ]
        self.users = {user: n for n, user in enumerate(sorted(asked.user_id.unique()), UNKNOWN + 1)}
        self.items = {item: n for n, item in enumerate(sorted(asked.item_id.unique()), UNKNOWN + 1)}
        train, valid = self._batchable(data, "train"), self._batchable(data, "valid")
        best = float("inf")
        for setting in progress(self.settings, self.name, "setting"):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                model = _Towers(len(self.users) + 1, len(self.items) + 1, setting)
                loss = self._train(model, setting, train, valid)
            self.tried.append((setting, loss))
            if loss < best:
                best, self.model, self.chosen = loss, model, setting

    def _train(self, model: _Towers, setting: TowerSetting, train: Batchable, valid: Batchable) -> float:
        """Leaves the weights of the best epoch in the model; returns its loss on valid."""
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay
        )
        best, best_epoch, weights = float("inf"), 0, copy.deepcopy(model.state_dict())
        for epoch in range(self.epochs):
            for rows in torch.randperm(len(train.labels)).split(setting.batch):
                batch = Batchable(*(column[rows] for column in train))
                forgotten = (torch.rand(2, len(rows)) < setting.unknown_share).unbind()
                users, items = (
                    ids.masked_fill(unknown, UNKNOWN)
                    for ids, unknown in zip((batch.users, batch.items), forgotten, strict=True)
                )
                odds = model(users, items).gather(1, batch.head[:, None])[:, 0]
                optimizer.zero_grad()
                binary_cross_entropy_with_logits(odds, batch.labels, batch.weights).backward()
                optimizer.step()
            # Without validation rows every epoch counts as better: all of them are trained.
            loss = self._loss(model, valid) if len(valid.labels) else -float(epoch)
            if loss < best:
                best, best_epoch, weights = loss, epoch, copy.deepcopy(model.state_dict())
            elif epoch - best_epoch >= PATIENCE:
                break
        model.load_state_dict(weights)
        return best

    def _loss(self, model: _Towers, rows: Batchable) -> float:
        """The sum of the tasks' mean log losses."""
        with torch.no_grad():
            odds = model(rows.users, rows.items).gather(1, rows.head[:, None])[:, 0]
            losses = binary_cross_entropy_with_logits(odds, rows.labels, reduction="none") * rows.weights
            heads = [rows.head == number for number in range(len(self.tasks))]
            return float(sum(losses[at].sum() / rows.weights[at].sum() for at in heads if at.any()))

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        if task not in self.tasks:
            return np.full(len(rows), np.nan)
        with torch.no_grad():
            odds = self.model(*self._ids(data, rows))[:, self.tasks.index(task)]
        return np.asarray(torch.sigmoid(odds.double()).numpy(), dtype=np.float64)

    def _batchable(self, data: Prepared, split: str) -> Batchable:
        parts = [labelled(data, task, split) for task in self.tasks]
        head = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
        labels, weights = (np.concatenate([part[number] for part in parts]) for number in (1, 2))
        ids = self._ids(data, np.concatenate([part.rows for part in parts]))
        return Batchable(
            *ids, torch.from_numpy(head), torch.from_numpy(labels).float(), torch.from_numpy(weights).float()
        )

    def _ids(self, data: Prepared, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        asked = data.examples.iloc[rows]
        users = asked.user_id.map(self.users).fillna(UNKNOWN).to_numpy(np.int64)
        items = asked.item_id.map(self.items).fillna(UNKNOWN).to_numpy(np.int64)
        return torch.from_numpy(users), torch.from_numpy(items)


def searched(number: int, seed: int) -> list[TowerSetting]:
    """The defaults, the article's own setting, then random ones."""
    random = np.random.default_rng(seed)
    return [TowerSetting(), ARTICLE, *(_drawn(random) for _ in range(number - 2))][:number]


def _drawn(random: np.random.Generator) -> TowerSetting:
    drawn: dict[str, Any] = {
        "width": int(random.choice([4, 8, 16, 32, 64])),
        "learning_rate": float(random.choice([0.001, 0.003, 0.01])),
        "weight_decay": float(random.choice([0.0, 0.01, 0.1, 1.0])),
        "unknown_share": float(random.choice([0.2, 0.5, 0.8])),
        "batch": int(random.choice([256, 1024])),
    }
    return TowerSetting(**drawn)
