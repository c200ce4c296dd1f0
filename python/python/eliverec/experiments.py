"""Who is in which bucket of an experiment, by the standard library alone: as the service assigns users (docs/experiments.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Optional, Union

__all__ = ["SLOTS", "bucket", "slot"]

#: Slots of a layer.
SLOTS = 10_000


def slot(salt: str, user: Union[int, str]) -> int:
    """The slot of a user in the layer with that salt; an integer and text are ids as calls of the service have them."""
    return int(hashlib.sha256(f"{salt}:{_text(user)}".encode()).hexdigest()[:8], 16) % SLOTS


def bucket(layer: Mapping[str, Any], user: Union[int, str]) -> Optional[str]:
    """The bucket of a user in a layer, one of those that ``Client.experiments`` gives; ``None`` for a user who is in none."""
    override = layer["overrides"].get(_text(user))
    if override is not None:
        return override
    of = slot(layer["salt"], user)
    for candidate in layer["buckets"]:
        for ends in candidate["slots"]:
            first, _, last = ends.partition("-")
            if int(first) <= of <= int(last or first):
                return candidate["name"]
    return None


def _text(user: Union[int, str]) -> str:
    # A negative integer and the one with the same 64 bits are one user.
    return str(user % (1 << 64)) if isinstance(user, int) else user
