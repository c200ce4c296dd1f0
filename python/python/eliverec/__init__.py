"""Scores of feeds from a bundle, metrics of scores, and a client of the service.

Tables come and go through the Arrow PyCapsule interface, so any Arrow library will do; none is needed to import this package.
"""

from __future__ import annotations

import json
from typing import Any, Optional

from . import _native
from ._native import Error, Scorer, Table, read_feeds
from .client import Client, Problem
from .experiments import bucket, slot

__all__ = ["Client", "Error", "Problem", "Scorer", "Table", "bucket", "metrics", "read_feeds", "slot"]


def metrics(scores: Any, labels: Any, users: Any, feeds: Any) -> dict[str, Optional[float]]:
    """The metrics of ``eliverec evaluate --json``, by the same names; one that is undefined here is ``None``.

    The arguments are columns of one length, a row per candidate: the probability of a watch, whether it was watched, who asked, and
    in which request. Rows of one request need not stand together. Columns are Arrow arrays of any library; what is none (a chunked
    array, NumPy's, a list) becomes one by pyarrow, which must be there then.
    """
    columns = [_array(name, column) for name, column in
               [("scores", scores), ("labels", labels), ("users", users), ("feeds", feeds)]]
    return json.loads(_native.metrics(*columns))


def _array(name: str, column: Any) -> Any:
    if hasattr(column, "__arrow_c_array__"):
        return column
    try:
        import pyarrow
    except ImportError:
        raise TypeError(f"{name} is no Arrow array; give one, or install pyarrow, which makes arrays of other columns") from None
    if hasattr(column, "__arrow_c_stream__"):
        column = pyarrow.chunked_array(column).combine_chunks()
    array = pyarrow.array(column)
    return array.combine_chunks() if isinstance(array, pyarrow.ChunkedArray) else array
