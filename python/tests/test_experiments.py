"""Who is in which bucket; that slots are the service's is tested in crates/eliverec-experiments/tests."""

from __future__ import annotations

import eliverec

LAYER = {
    "salt": "ranker",
    "buckets": [{"name": "a", "slots": ["0-4999", "9999"]}, {"name": "b", "slots": ["5251", "8100-8100"]}],
    "overrides": {"18446744073709551615": "a"},
}


def test_slots_and_buckets():
    assert (eliverec.slot("ranker", 17), eliverec.slot("ranker", "17"), eliverec.slot("ranker", "anna")) == (5251, 5251, 8100)
    assert eliverec.slot("ranker", -1) == eliverec.slot("ranker", 2**64 - 1)
    assert [eliverec.bucket(LAYER, user) for user in (17, "anna", -1)] == ["b", "b", "a"]
    users = [user for user in range(1000) if eliverec.bucket(LAYER, user) is None]
    assert users and all(5000 <= eliverec.slot("ranker", user) < 9999 for user in users)


def test_a_service_without_experiments(server):
    with eliverec.Client(server.url) as client:
        assert client.experiments()["layers"] == []
