"""The client against a real server, and against answers that a real server gives under load only."""

from __future__ import annotations

import http.server
import json
import threading
import time

import pyarrow.parquet
import pytest

import eliverec
import eliverec.client

CONTEXT = {"hour": 20, "weekday": 3, "scene": 1, "city": 2}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def begun(event_id: int, channel: int) -> dict[str, object]:
    return {"event_id": event_id, "ts": now_ms(), "kind": "stream_start", "channel_id": channel}


def test_a_session(server):
    with eliverec.Client(server.url) as client:
        taken = client.events([begun(1, 3), begun(2, 5)])
        assert (taken["admitted"], taken["duplicate"]) == (2, 0)
        assert client.events([begun(1, 3)])["duplicate"] == 1
        answer = client.recommend(7, CONTEXT, k=5)
        assert {channel["channel_id"] for channel in answer["channels"]} == {3, 5}
        assert len(client.recommend(7, CONTEXT, k=1)["channels"]) == 1
        ranked = client.rank(7, [3, 5], CONTEXT, request_id="my request/1")
        # Time has passed between the two.
        assert [c["p_watch"] for c in ranked["channels"]] == pytest.approx([c["p_watch"] for c in answer["channels"]], abs=1e-4)
        assert client.explain("my request/1")["request_id"] == ranked["request_id"] == "my request/1"
        # What looks like a number is text all the same.
        assert client.rank(7, [3], CONTEXT, request_id="5")["request_id"] == "5"
        assert client.explain("5")["request_id"] == "5"
        with pytest.raises(eliverec.Problem, match="not_found"):
            client.explain(5)
        explained = client.explain(answer["request_id"])
        assert (explained["user_id"], explained["largest_difference"] < 1e-5) == (7, True)
        assert client.bundles()["active"] == answer["model"]


def test_tables_are_set(server, world):
    with eliverec.Client(server.url) as client:
        puts = {"users": client.put_users, "products": client.put_products, "channels": client.put_channels}
        for name, put in puts.items():
            known = pyarrow.parquet.read_table(world.path("logs") / f"{name}.parquet").slice(0, 2).to_pylist()
            assert put({row.pop(f"{name.removesuffix('s')}_id"): row for row in known})["admitted"] == 2
        with pytest.raises(eliverec.Problem) as raised:
            client.put_users({1: {"age": 1}})
        assert (raised.value.code, raised.value.row) == ("invalid", 0)


def test_a_refusal_says_what_is_wrong(server):
    with eliverec.Client(server.url) as client:
        with pytest.raises(eliverec.Problem) as raised:
            client.events([begun(1, 3), {**begun(2, 3), "kind": "dance"}])
        problem = raised.value
        assert (problem.status, problem.code, problem.field, problem.row) == (422, "invalid", "kind", 1)
        assert "dance" in problem.detail and "row 1: field kind: " in str(problem)
        with pytest.raises(eliverec.Problem, match="not_found"):
            client.explain(99)
        with pytest.raises(eliverec.Problem) as raised:
            client.recommend(7, {"hour": 20})
        assert raised.value.field.startswith("context.")
        # More than the service reads, which it says before it has read all.
        with pytest.raises(eliverec.Problem, match="too_large"):
            client.events([begun(i, 3) for i in range(100_000)])
        assert client.bundles()["previous"] is None


def test_tokens(world, tmp_path):
    from conftest import Server, World

    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[[token]]\nname = "app"\ntoken = "sixteen-characters-or-more"\nscopes = ["read"]\n')
    served = World(world.directory)
    served.path = lambda name: tmp_path / name
    server = Server(served, f"--tokens {tokens}")
    try:
        with pytest.raises(eliverec.Problem) as raised:
            eliverec.Client(server.url).recommend(7, CONTEXT)
        assert (raised.value.status, raised.value.code) == (401, "unauthenticated")
        client = eliverec.Client(server.url, token="sixteen-characters-or-more")
        assert client.recommend(7, CONTEXT)["channels"] == []
        with pytest.raises(eliverec.Problem, match="forbidden"):
            client.events([begun(1, 3)])
    finally:
        server.end()


class Scripted(http.server.BaseHTTPRequestHandler):
    """Gives the answers of a script, one per call."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.calls.append((self.command, self.path, json.loads(body or b"null"), self.client_address))
        status, headers, text = self.server.script.pop(0)
        if status == 0:
            # The call is heard and the connection ends.
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"content-length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)
        # What a service does with a connection that was quiet for too long: it says nothing and goes.
        self.close_connection = "x-leave" in headers

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.calls, server.script, server.slept = [], [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(eliverec.client.time, "sleep", server.slept.append)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


TAKEN = (200, {}, b'{"admitted": 1}')


def later(status: int, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    return (status, headers, b'{"code": "overloaded", "detail": "later"}')


def test_events_are_sent_again_when_the_service_asks_for_it(scripted):
    scripted.script = [later(429, {"retry-after": "2"}), later(503, {}), (0, {}, b""), (0, {}, b""), TAKEN]
    client = eliverec.Client(scripted.url + "/behind/")
    assert client.events([begun(1, 3)]) == {"admitted": 1}
    assert {call[1] for call in scripted.calls} == {"/behind/v1/events"}
    bodies = [call[2] for call in scripted.calls]
    assert len(bodies) == 5 and all(body == bodies[0] for body in bodies)
    assert scripted.slept == [2.0, 0.2, 0.4]


def test_it_gives_up(scripted):
    scripted.script = [later(429, {"retry-after": "1"})] * 3
    with pytest.raises(eliverec.Problem) as raised:
        eliverec.Client(scripted.url, retries=2).put_users({"ann": {"age": 30}})
    assert (raised.value.status, raised.value.code, raised.value.retry_after_s) == (429, "overloaded", 1.0)
    assert scripted.calls[0][:3] == ("PUT", "/v1/users", [{"id": "ann", "values": {"age": 30}}])
    # What is wrong now is wrong again, and an answer that comes late helps nobody.
    scripted.script = [(422, {}, b'{"code": "invalid", "detail": "no", "row": 0}')]
    with pytest.raises(eliverec.Problem, match="invalid"):
        eliverec.Client(scripted.url).events([begun(1, 3)])
    scripted.script = [later(429, {"retry-after": "1"})]
    with pytest.raises(eliverec.Problem, match="overloaded"):
        eliverec.Client(scripted.url).recommend(7)
    assert scripted.slept == [1.0, 1.0]


def test_one_connection_is_kept_and_opened_again(scripted):
    client = eliverec.Client(scripted.url)
    scripted.script = [(200, {}, b"{}"), (200, {"x-leave": "1"}, b"{}"), (200, {}, b"{}")]
    for _ in range(3):
        assert client.bundles() == {}
    first, second, third = (call[3] for call in scripted.calls)
    assert first == second != third
    assert scripted.slept == []


def test_answers_of_something_else_are_problems_too(scripted):
    scripted.script = [(502, {}, b"<html>no upstream</html>")]
    with pytest.raises(eliverec.Problem) as raised:
        eliverec.Client(scripted.url).recommend(7)
    assert (raised.value.status, raised.value.code, raised.value.detail) == (502, "unknown", "<html>no upstream</html>")
    for url in ("localhost:8088", "ftp://somewhere", "http://"):
        with pytest.raises(ValueError, match="no address of a service"):
            eliverec.Client(url)
