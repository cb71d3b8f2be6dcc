"""The seed's example model: an embedding of the user's id and one of the item's, nothing else.

Embeddings of 50, their dot product, a dense layer of 100 with ReLU, two sigmoid heads (click, convert); Adam 0.001,
batches of 64, 10 epochs. The convert head learns from clicked impressions, so that it answers P(convert | click).
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from eval.recommender import Floats, Rows
from eval.training import labelled, task_of
from genrec.dataset import Prepared

TASKS = ("click", "convert")
UNKNOWN = 0  # the row of ids that training never saw
FORGET = 0.05  # share of ids that training replaces by the unknown one, so that its row means something


class _Towers(nn.Module):
    def __init__(self, users: int, items: int, width: int = 50, hidden: int = 100) -> None:
        super().__init__()
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.dense, self.heads = nn.Linear(1, hidden), nn.Linear(hidden, len(TASKS))

    def forward(self, users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        dot = (self.user(users) * self.item(items)).sum(1, keepdim=True)  # (B, 1)
        out: torch.Tensor = self.heads(torch.relu(self.dense(dot)))  # (B, 2) log-odds
        return out


class TwoTower:
    """Knows nothing of a user or item that is not in the train split; statistics are not used."""

    name = "two-tower of ids"

    def __init__(self, seed: int = 0, epochs: int = 10, batch: int = 64) -> None:
        self.seed, self.epochs, self.batch = seed, epochs, batch

    def fit(self, data: Prepared, regime: str) -> None:
        self.tasks = [task for task in TASKS if task in data.tasks]
        train = [labelled(data, task, "train") for task in self.tasks]
        rows = np.concatenate([part.rows for part in train])
        asked = data.examples.iloc[rows]
        self.users = {user: n for n, user in enumerate(sorted(asked.user_id.unique()), UNKNOWN + 1)}
        self.items = {item: n for n, item in enumerate(sorted(asked.item_id.unique()), UNKNOWN + 1)}
        head = torch.from_numpy(np.repeat(np.arange(len(train)), [len(part.rows) for part in train]))
        labels = torch.from_numpy(np.concatenate([part.labels for part in train])).float()
        weights = torch.from_numpy(np.concatenate([part.weights for part in train])).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.model = _Towers(len(self.users) + 1, len(self.items) + 1)
            self._train(self._ids(data, rows), head, labels, weights)

    def _train(
        self,
        ids: tuple[torch.Tensor, torch.Tensor],
        head: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> None:
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001)
        for _ in range(self.epochs):
            for batch in torch.randperm(len(labels)).split(self.batch):
                users, items = (i[batch].masked_fill(torch.rand(len(batch)) < FORGET, UNKNOWN) for i in ids)
                odds = self.model(users, items).gather(1, head[batch, None])[:, 0]
                loss = binary_cross_entropy_with_logits(odds, labels[batch], weights[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def predict(self, data: Prepared, rows: Rows) -> Floats:
        task = task_of(data, rows)
        if task not in self.tasks:
            return np.full(len(rows), np.nan)
        with torch.no_grad():
            odds = self.model(*self._ids(data, rows))[:, self.tasks.index(task)]
        return np.asarray(torch.sigmoid(odds.double()).numpy(), dtype=np.float64)

    def _ids(self, data: Prepared, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        asked = data.examples.iloc[rows]
        users = asked.user_id.map(self.users).fillna(UNKNOWN).to_numpy(np.int64)
        items = asked.item_id.map(self.items).fillna(UNKNOWN).to_numpy(np.int64)
        return torch.from_numpy(users), torch.from_numpy(items)
