"""Scores and metrics in process are those of the binary, bit for bit."""

from __future__ import annotations

import json
import shutil
import sys
import threading

import numpy
import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pytest

import eliverec


@pytest.fixture(scope="session")
def scorer(world) -> eliverec.Scorer:
    return eliverec.Scorer(world.path("bundle"))


@pytest.fixture(scope="session")
def feeds(world) -> pyarrow.Table:
    return pyarrow.table(eliverec.read_feeds(world.path("feeds")))


@pytest.fixture(scope="session")
def expected(world) -> pyarrow.Table:
    world.run("score --run run --feeds feeds --out scores.parquet")
    return pyarrow.parquet.read_table(world.path("scores.parquet"))


def assert_same(scores: eliverec.Table, expected: pyarrow.Table) -> None:
    found = pyarrow.table(scores)
    assert found.schema.equals(expected.schema), f"{found.schema}\n{expected.schema}"
    for name in expected.column_names:
        here, there = found[name].combine_chunks(), expected[name].combine_chunks()
        if pyarrow.types.is_floating(here.type):
            # Not a number is none, and 0 is not -0.
            here, there = here.view(pyarrow.uint32()), there.view(pyarrow.uint32())
        assert here.equals(there), name


def test_feeds_are_read_as_the_files_have_them(world, feeds):
    files = pyarrow.parquet.read_table(world.path("feeds") / "test")
    assert feeds.column_names == files.column_names
    assert feeds.num_rows == files.num_rows > 0
    assert feeds.cast(files.schema).equals(files)
    table = eliverec.read_feeds(str(world.path("feeds")), "train")
    assert (len(table), table.column_names) == (pyarrow.table(table).num_rows, feeds.column_names)
    assert repr(table).startswith(f"<eliverec.Table: {len(table)} rows; request_id, ")


def test_scores_are_those_of_the_binary(scorer, feeds, expected):
    assert (scorer.model, expected.num_rows > 0) == ("elive", True)
    assert_same(scorer.score(feeds), expected)
    # What was scored can be scored again, and every form of rows is one.
    assert_same(scorer.score(feeds), expected)
    assert_same(scorer.score(feeds.to_reader(max_chunksize=7)), expected)
    batch = feeds.combine_chunks().to_batches()[0]
    assert_same(scorer.score(batch), expected)


def test_a_table_of_this_package_needs_no_other_library(world, scorer, expected):
    table = eliverec.read_feeds(world.path("feeds"), split="test")
    assert_same(scorer.score(table), expected)


def test_every_type_of_arrow_that_can_stand_for_a_column_is_read(scorer, feeds, expected):
    def other(kind: pyarrow.DataType) -> pyarrow.DataType:
        if pyarrow.types.is_list(kind):
            return pyarrow.large_list(other(kind.value_type))
        if pyarrow.types.is_struct(kind):
            # In another order, for columns go by their names.
            return pyarrow.struct([pyarrow.field(kind[i].name, other(kind[i].type)) for i in range(kind.num_fields)])
        if pyarrow.types.is_float32(kind):
            return pyarrow.float64()
        return kind

    schema = pyarrow.schema([(field.name, other(field.type)) for field in feeds.schema])
    assert_same(scorer.score(feeds.cast(schema)), expected)
    times = feeds.set_column(2, "ts", feeds["ts"].cast(pyarrow.int64()))
    assert_same(scorer.score(times.select(list(reversed(times.column_names)))), expected)
    more = feeds.append_column("note", pyarrow.array([{"nobody": "asks"}] * feeds.num_rows))
    assert_same(scorer.score(more), expected)


def test_ids_as_text_stay_text(world, scorer, feeds):
    text = pyarrow.compute.binary_join_element_wise("request", feeds["request_id"].cast(pyarrow.string()), "-")
    folder = written(world, "named", feeds.set_column(0, "request_id", text))
    world.run("score --run run --feeds named --out named.parquet")
    expected = pyarrow.parquet.read_table(world.path("named.parquet"))
    assert expected.schema.field("request_id").type == pyarrow.string()
    assert_same(scorer.score(eliverec.read_feeds(folder)), expected)
    kinds = [text, text.cast(pyarrow.large_string()), text.cast(pyarrow.string_view()), text.dictionary_encode()]
    for column in kinds:
        assert_same(scorer.score(feeds.set_column(0, "request_id", column)), expected)


def written(world, name: str, *files: pyarrow.Table):
    """A feed directory whose test split has these files, from another tool."""
    folder = world.path(name)
    (folder / "test").mkdir(parents=True)
    shutil.copy(world.path("feeds") / "schema.toml", folder)
    for number, rows in enumerate(files):
        pyarrow.parquet.write_table(rows.replace_schema_metadata(None), folder / "test" / f"part-{number}.parquet")
    return folder


def test_files_of_several_types_become_one_table(world, scorer, feeds):
    half = feeds.num_rows // 2
    first, second = feeds.slice(0, half), feeds.slice(half)
    second = second.set_column(0, "request_id", second["request_id"].cast(pyarrow.int64()))
    second = second.set_column(2, "ts", second["ts"].cast(pyarrow.int64()))
    folder = written(world, "types", first, second)
    read = pyarrow.table(eliverec.read_feeds(folder))
    assert read.schema.field("request_id").type == pyarrow.uint64()
    world.run("score --run run --feeds types --out types.parquet")
    assert_same(scorer.score(read), pyarrow.parquet.read_table(world.path("types.parquet")))
    # Times that do not say what they count are milliseconds.
    folder = written(world, "integers", second)
    assert pyarrow.table(eliverec.read_feeds(folder))["ts"].cast(pyarrow.int64()).equals(second["ts"])

    without = lambda fields: {name: field for name, field in fields.items() if name != "position"}
    folder = written(world, "columns", first, with_structs(second.combine_chunks(), "candidates", without))
    with pytest.raises(eliverec.Error, match=r"part-1.parquet: column candidates.position: stands in this file or in .*part-0"):
        eliverec.read_feeds(folder)


def with_structs(feeds: pyarrow.Table, name: str, change) -> pyarrow.Table:
    """The feeds with the fields of the structs in a list column changed, given and taken as a mapping."""
    lists = feeds[name].combine_chunks()
    structs = lists.values
    fields = change({field.name: structs.field(field.name) for field in structs.type})
    structs = pyarrow.StructArray.from_arrays(list(fields.values()), names=list(fields))
    return feeds.set_column(feeds.column_names.index(name), name, pyarrow.ListArray.from_arrays(lists.offsets, structs))


def test_feeds_need_no_labels(scorer, feeds, expected):
    labels = ("watched", "stay_s", "bag_click", "product_click")
    without = with_structs(feeds, "candidates", lambda fields: {k: v for k, v in fields.items() if k not in labels})
    assert_same(scorer.score(without), expected)


def test_metrics_are_those_of_the_binary(world, scorer, feeds, expected):
    measured = json.loads(world.run("evaluate --run run --feeds feeds --json"))
    scores = pyarrow.table(scorer.score(feeds))
    labels = pyarrow.compute.struct_field(feeds["candidates"].combine_chunks().flatten(), "watched")
    found = eliverec.metrics(scores["p_watch"], labels, scores["user_id"], scores["request_id"])
    assert found["auc"] is not None
    assert found == {name: measured[name] for name in found}
    # Arrays of other libraries, and rows in any order within a feed's.
    again = eliverec.metrics(
        scores["p_watch"].to_numpy(), labels.to_numpy(zero_copy_only=False), scores["user_id"].to_numpy(),
        scores["request_id"].to_pylist(),
    )
    assert again == found


def test_metrics_without_a_class_are_none():
    found = eliverec.metrics(numpy.array([0.5, 0.25], "float32"), [True, True], ["a", "a"], [1, 1])
    assert (found["auc"], found["impressions"], found["watched_feeds"]) == (None, 2, 1)


def test_refusals_are_those_of_the_binary(world, scorer, feeds):
    def told(call) -> str:
        with pytest.raises(eliverec.Error) as raised:
            call()
        assert isinstance(raised.value, ValueError)
        return str(raised.value)

    nowhere = world.path("nowhere")
    assert told(lambda: eliverec.read_feeds(nowhere)) == world.refused(f"score --run run --feeds {nowhere} --out x")
    assert told(lambda: eliverec.Scorer(nowhere)) == world.refused(f"bundle verify {nowhere}")
    assert told(lambda: eliverec.read_feeds(world.path("feeds"), "tests")).startswith('no split "tests"')
    assert told(lambda: scorer.score(feeds.drop_columns(["user_id"]))) == "table: column user_id: is missing; every file needs it"
    assert told(lambda: scorer.score(feeds.slice(0, 0))).startswith("table: has no rows")

    negated = lambda fields: {**fields, "age_s": pyarrow.compute.negate(pyarrow.compute.add(fields["age_s"], 1))}
    message = told(lambda: scorer.score(with_structs(feeds, "channels", negated)))
    assert message.startswith("table: row ") and "channels[0].age_s: " in message, message

    other = {**feeds.schema.metadata, b"eliverec.schema": b"another"}
    assert "its schema differs" in told(lambda: scorer.score(feeds.replace_schema_metadata(other)))
    assert told(lambda: eliverec.metrics([1.5], [True], [1], [1])).startswith("metrics: row 0: scores: 1.5 is no probability")
    with pytest.raises(TypeError, match="list is no Arrow table"):
        scorer.score([1, 2])


def test_a_damaged_bundle_is_refused(world, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(world.path("bundle"), bundle)
    weights = bundle / "weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(eliverec.Error, match="the bundle is refused") as raised:
        eliverec.Scorer(bundle)
    assert str(raised.value) == world.refused(f"bundle verify {bundle}")


def test_other_threads_run_while_feeds_are_scored(world, scorer, expected):
    table = eliverec.read_feeds(world.path("feeds"))
    switched = sys.getswitchinterval()
    # Now a thread runs when another gives way, and only then.
    sys.setswitchinterval(1e6)
    try:
        waiting, ran = threading.Lock(), []
        waiting.acquire()
        thread = threading.Thread(target=lambda: (waiting.acquire(), ran.append(True)))
        thread.start()
        waiting.release()
        for _ in range(1000):
            scores = scorer.score(table)
            if ran:
                break
        assert ran
    finally:
        sys.setswitchinterval(switched)
    assert_same(scores, expected)
    found: list[eliverec.Table] = []
    threads = [threading.Thread(target=lambda: found.append(scorer.score(table))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for scores in found:
        assert_same(scores, expected)
