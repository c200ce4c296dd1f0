"""A client of ``eliverec serve``, by the standard library alone."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union
from urllib.parse import quote, urlsplit

__all__ = ["Client", "Problem"]

Id = Union[int, str]
Values = Mapping[str, Any]

#: Statuses that say: not now.
_LATER = (429, 503)
#: The longest wait before a call is sent again, seconds.
_LONGEST_WAIT_S = 30.0


class Problem(Exception):
    """A refusal of the service (RFC 9457)."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        field: Optional[str] = None,
        row: Optional[int] = None,
        retry_after_s: Optional[float] = None,
    ) -> None:
        place = "".join(f" {name} {value}:" for name, value in (("row", row), ("field", field)) if value is not None)
        super().__init__(f"{code} ({status}):{place} {detail}")
        self.status = status
        #: The kind of refusal, by which programs decide.
        self.code = code
        #: What was wrong and what to do.
        self.detail = detail
        #: Which field of the body, if one.
        self.field = field
        #: Which row of a batch, from 0.
        self.row = row
        #: When to try again, if the service says so.
        self.retry_after_s = retry_after_s


class Client:
    """Calls one service over one connection, which stays open; one thread at a time may use it.

    ``token`` is one of the service's file of tokens. A call without an answer within ``timeout_s`` fails.

    ``events`` and ``put_...`` are sent again, up to ``retries`` times, when the service asks for it (429, 503; after the time that it
    names) or does not answer: an event is known by its ``event_id`` and a row by its id, so twice is once. ``recommend``, ``rank``
    and ``explain`` are not: an answer that comes late helps nobody.
    """

    def __init__(self, url: str, token: Optional[str] = None, timeout_s: float = 10.0, retries: int = 5) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{url!r} is no address of a service; give one like http://127.0.0.1:8088")
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(address.hostname, address.port, timeout=timeout_s)
        self._prefix = address.path.rstrip("/")
        self._retries = retries
        self._headers = {"content-type": "application/json", "accept": "application/json"}
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        self._connection.close()

    def recommend(
        self, user: Id, context: Optional[Values] = None, k: int = 10, request_id: Optional[Id] = None
    ) -> dict[str, Any]:
        """Live channels for a user, the likeliest watch first, at most ``k``; ``context`` has the schema's context fields."""
        return self._ask("/v1/recommend", {"user_id": user, "context": context or {}, "k": k}, request_id)

    def rank(
        self, user: Id, channels: Iterable[Id], context: Optional[Values] = None, request_id: Optional[Id] = None
    ) -> dict[str, Any]:
        """The caller's own channels in the same order, with the same scores."""
        body = {"user_id": user, "context": context or {}, "channels": list(channels)}
        return self._ask("/v1/rank", body, request_id)

    def explain(self, request_id: Id) -> dict[str, Any]:
        """Why a recent answer was what it was."""
        kind = "text" if isinstance(request_id, str) else "integer"
        return self._call("GET", f"/v1/explain?request_id={quote(str(request_id), safe='')}&kind={kind}")

    def events(self, events: Iterable[Values]) -> dict[str, Any]:
        """Tells what happened, all of a batch or nothing; when this returns, features know it and it is on disk.

        Fields are those of docs/logs.md: ``event_id``, ``ts``, ``kind`` and what belongs to the kind.
        """
        return self._call_until_taken("POST", "/v1/events", list(events))

    def put_users(self, rows: Mapping[Id, Values]) -> dict[str, Any]:
        """Sets rows of users, all fields of the table by name, from now on."""
        return self._put("users", rows)

    def put_products(self, rows: Mapping[Id, Values]) -> dict[str, Any]:
        """Sets rows of products."""
        return self._put("products", rows)

    def put_channels(self, rows: Mapping[Id, Values]) -> dict[str, Any]:
        """Sets rows of channels."""
        return self._put("channels", rows)

    def bundles(self) -> dict[str, Any]:
        """Which bundle is in service, and which a roll-back would bring back."""
        return self._call("GET", "/v1/admin/bundles")

    def experiments(self) -> dict[str, Any]:
        """The experiments in service; ``eliverec.bucket`` says of each of their ``layers`` in which bucket a user is."""
        return self._call("GET", "/v1/admin/experiments")

    def _ask(self, path: str, body: dict[str, Any], request_id: Optional[Id]) -> dict[str, Any]:
        if request_id is not None:
            body["request_id"] = request_id
        return self._call("POST", path, body)

    def _put(self, table: str, rows: Mapping[Id, Values]) -> dict[str, Any]:
        body = [{"id": id, "values": values} for id, values in rows.items()]
        return self._call_until_taken("PUT", f"/v1/{table}", body)

    def _call_until_taken(self, method: str, path: str, body: Any) -> dict[str, Any]:
        for tried in range(self._retries):
            try:
                return self._call(method, path, body)
            except Problem as problem:
                if problem.status not in _LATER:
                    raise
                wait_s = problem.retry_after_s
            except (OSError, http.client.HTTPException):
                wait_s = None
            # Doubling where the service says nothing.
            time.sleep(min(wait_s if wait_s is not None else 0.1 * 2**tried, _LONGEST_WAIT_S))
        return self._call(method, path, body)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        status, headers, answer = self._exchange(method, self._prefix + path, data)
        if status >= 400:
            raise _problem(status, headers, answer)
        return json.loads(answer)

    def _exchange(self, method: str, path: str, data: Optional[bytes]) -> tuple[int, Mapping[str, str], bytes]:
        kept = self._connection.sock is not None
        try:
            return self._exchange_once(method, path, data)
        except (http.client.RemoteDisconnected, ConnectionError):
            # A service may close a connection between two calls; one that was just opened it would not.
            if not kept:
                raise
        return self._exchange_once(method, path, data)

    def _exchange_once(self, method: str, path: str, data: Optional[bytes]) -> tuple[int, Mapping[str, str], bytes]:
        try:
            try:
                self._connection.request(method, path, body=data, headers=self._headers)
            except (BrokenPipeError, ConnectionResetError):
                # It may have refused before it read everything; then its answer is there.
                pass
            response = self._connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException):
            # Half an exchange: whatever comes on this connection would be taken for the next one's answer.
            self._connection.close()
            raise


def _problem(status: int, headers: Mapping[str, str], answer: bytes) -> Problem:
    retry_after = headers.get("retry-after", "")
    retry_after_s = float(retry_after) if retry_after.isdigit() else None
    try:
        body = json.loads(answer)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        # Of something between here and the service.
        return Problem(status, "unknown", answer.decode(errors="replace").strip(), retry_after_s=retry_after_s)
    return Problem(
        status, body.get("code", "unknown"), body.get("detail", ""), body.get("field"), body.get("row"), retry_after_s
    )
