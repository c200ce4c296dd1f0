#!/usr/bin/env python3
"""How well counts alone tell behaviours that came from an interest shared by both domains from those of one domain's own: what an
intent weight could know of a simulated world at least. A score is the share of an event's category in the histories.

    python3 -m venv work/venv && work/venv/bin/pip install pyarrow==26.0.1 scikit-learn==1.9.1
    work/venv/bin/python experiments/matching/causes.py work/world work/logs

Behaviours of the test split, as `eliverec disentangling` takes them.
"""

import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from counts import auc, feeds

SHARED = {"shared": True, "product_only": False, "live_only": False}

# User, kind of event, and what it was about.
Key = tuple[int, str, int]


def causes(path: Path) -> dict[Key, list[tuple[int, str]]]:
    """Moments (milliseconds) and causes of everything that a truth file knows."""
    columns = ["ts", "kind", "user_id", "channel_id", "product_id", "cause"]
    rows = pq.read_table(path, columns=columns)
    known = defaultdict(list)
    moments = rows["ts"].cast("int64").to_pylist()
    for ts, kind, user, channel, product, cause in zip(moments, *(rows[name].to_pylist() for name in columns[1:])):
        if kind == "watch":
            known[user, "channels", channel].append((ts, cause))
        elif kind == "product_click" and channel is None:
            known[user, "products", product].append((ts, cause))
    for events in known.values():
        events.sort()
    return known


def is_shared(known: dict[Key, list[tuple[int, str]]], key: Key, ts: int) -> bool | None:
    """Of the last that began before; histories know moments to half a second."""
    events = known.get(key, [])
    place = bisect_right(events, (ts + 500, "~"))
    return SHARED.get(events[place - 1][1]) if place else None


def main() -> None:
    world, logs = Path(sys.argv[1]), Path(sys.argv[2])
    known = causes(logs / "truth.parquet")
    labels = {"channels": [], "products": []}
    scores = {domain: ([], []) for domain in labels}
    for feed in feeds(world / "test"):
        asked = round(feed["ts"].timestamp() * 1000)
        shares = {}
        for domain in labels:
            counts = Counter(event["category_id"] for event in feed[domain])
            shares[domain] = {category: count / counts.total() for category, count in counts.items()}
        for domain, other, name in [("channels", "products", "channel_id"), ("products", "channels", "product_id")]:
            for event in feed[domain]:
                key = (feed["user_id"], domain, event[name])
                shared = is_shared(known, key, asked - round(event["age_s"] * 1000))
                if shared is not None:
                    elsewhere = shares[other].get(event["category_id"], 0)
                    labels[domain].append(shared)
                    scores[domain][0].append(elsewhere)
                    scores[domain][1].append(elsewhere - shares[domain][event["category_id"]])
    print("| behaviours | count | shared | auc of the share elsewhere | less the share here |\n| --- | ---: | ---: | ---: | ---: |")
    for domain, shared in labels.items():
        truth = np.array(shared)
        aucs = " | ".join(f"{auc(np.array(score), truth):.4f}" for score in scores[domain])
        print(f"| {domain} | {len(truth)} | {truth.mean():.4f} | {aucs} |")


if __name__ == "__main__":
    main()
