#!/usr/bin/env python3
"""What a logistic regression reaches that is told how often a candidate's category, channel and current category stand in the
user's histories: the counts that target attention would have to find by itself. Feeds of the simulated world.

    python3 -m venv work/venv && work/venv/bin/pip install pyarrow==26.0.1 scikit-learn==1.9.1
    work/venv/bin/python experiments/matching/counts.py work/world

Trained on the train split, judged on the test split, as the models are.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

LABELS = {"position", "watched", "stay_s", "bag_click", "product_click"}

Numbers = NDArray[np.float64]


def feeds(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.parquet")):
        for rows in pq.ParquetFile(path).iter_batches():
            yield from rows.to_pylist()


def examples(folder: Path, dense: list[str]) -> tuple[Numbers, Numbers, NDArray[np.bool_], NDArray[np.uint64]]:
    """Dense target fields, counts, labels and users of every impression."""
    fields, counts, watched, users = [], [], [], []
    for feed in feeds(folder):
        products = Counter(event["category_id"] for event in feed["products"])
        channels = Counter(event["category_id"] for event in feed["channels"])
        same = Counter(event["channel_id"] for event in feed["channels"])
        for shown in feed["candidates"]:
            now, usual = shown["current_category"], shown["category_id"]
            fields.append([shown[name] for name in dense])
            of_categories = [products[now], products[usual], channels[now], channels[usual]]
            counts.append([*of_categories, same[shown["channel_id"]]])
            watched.append(shown["watched"])
            users.append(feed["user_id"])
    logs = (np.log1p(np.maximum(np.array(x, float), 0)) for x in (fields, counts))
    return *logs, np.array(watched), np.array(users, np.uint64)


def auc(scores: Numbers, labels: NDArray[np.bool_]) -> float | None:
    """A tie counts one half; None with one class."""
    positives = labels.sum()
    if positives in (0, len(labels)):
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    pairs = positives * (len(labels) - positives)
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / pairs)


def gauc(scores: Numbers, labels: NDArray[np.bool_], users: NDArray[np.uint64]) -> float:
    """AUC inside each user's impressions, mean weighted by impressions."""
    total = weight = 0.0
    for user in np.unique(users):
        of_user = users == user
        value = auc(scores[of_user], labels[of_user])
        if value is not None:
            total += value * of_user.sum()
            weight += of_user.sum()
    return total / weight


def main() -> None:
    world = Path(sys.argv[1])
    first = next(feeds(world / "train"))["candidates"][0]
    dense = [name for name, value in first.items() if isinstance(value, float) and name not in LABELS]
    train, test = (examples(world / split, dense) for split in ("train", "test"))
    print("| logistic regression on | auc | gauc_user |\n| --- | ---: | ---: |")
    for name, columns in {"dense target fields": [0], "counts": [1], "both": [0, 1]}.items():
        inputs = [np.hstack([part[i] for i in columns]) for part in (train, test)]
        scaler = StandardScaler().fit(inputs[0])
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(inputs[0]), train[2])
        scores = model.decision_function(scaler.transform(inputs[1]))
        print(f"| {name} | {auc(scores, test[2]):.4f} | {gauc(scores, *test[2:]):.4f} |")


if __name__ == "__main__":
    main()
