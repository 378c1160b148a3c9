"""A stand-in for CircleCI's API on this machine, held to the shapes of the published one (`shapes.yaml`).

    with StandIn() as circleci:                          # or StandIn(runner), which really runs what is started
        shop.configure(pipeline=circleci.section)        # promotion.yaml
        shop.run("approve", **circleci.environment)      # CIRCLECI_TOKEN
        circleci.misbehave(too_many("1"), on="approve")   # see faults.py; the next request, or the next `times`
        circleci.started                                 # every accepted pipeline: id, number, branch, parameters
        circleci.calls                                   # every request

When it ends it fails the test if a request, or an answer of its own, was not of the published shape.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.certificates import Signed
from tests.circleci import shapes
from tests.circleci.faults import Fault
from tests.circleci.still import Still

TOKEN = "CCIPAT_fake_0123456789_not_a_token"
DEFINITION = "7d2a1c3e-5b6f-4a70-8c9d-0e1f2a3b4c5d"
OAUTH = "gh/acme/promotion"
APP = "circleci/9YytKzouJxzu4TjCRFqAoD/44n9wujWcTnVZ2b5S8Fnat"
"""A project of the GitHub App: its pipelines are started by definition only."""
_SOMEBODY = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
_HANG_SECONDS = 120


class PipelineRun(Protocol):
    id: str
    number: int


class WorkflowRun(Protocol):
    id: str
    name: str
    status: str
    created_at: datetime


class JobRun(Protocol):
    """`type` is build or approval; `approval` is the id of an approval that is on hold, else empty."""

    id: str
    name: str
    type: str
    status: str
    approval: str


class Runner(Protocol):
    """What runs the pipelines. Every call returns at once; what runs, runs beside it. LookupError where an id is unknown."""

    def start(self, parameters: Mapping[str, Any]) -> PipelineRun: ...

    def workflows(self, pipeline: str) -> Sequence[WorkflowRun]: ...

    def jobs(self, workflow: str) -> Sequence[JobRun]: ...

    def approve(self, approval: str) -> None:
        """LookupError where nothing waits under this id."""
        ...


@dataclass(frozen=True)
class Call:
    """A request as it came. `operation` is its name in `shapes.yaml`, empty for one that the API does not know."""

    operation: str
    method: str
    path: str
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Started:
    id: str
    number: int
    branch: str
    parameters: Mapping[str, Any]


class StandIn:
    """`project` is OAUTH or APP. With `declared`, other pipeline parameters are refused, as CircleCI does. A list gives `page` items at once."""

    def __init__(
        self, runner: Runner | None = None, *, project: str = OAUTH, declared: Sequence[str] | None = None, page: int = 20, tls: Signed | None = None
    ) -> None:
        self.still = Still()
        self.runner: Runner = runner or self.still
        self.project, self.definition = project, DEFINITION if project == APP else ""
        self.declared, self.page = declared, page
        self.calls: list[Call] = []
        self.started: list[Started] = []
        self.misshapen: list[str] = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self._faults: list[tuple[str, Fault]] = []
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"stand_in": self}))
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.server_port}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def section(self) -> dict[str, str]:
        """Of promotion.yaml: `pipeline:`."""
        return {"project": self.project, "definition": self.definition, "url": self.url}

    @property
    def environment(self) -> dict[str, str]:
        return {"CIRCLECI_TOKEN": TOKEN}

    def misbehave(self, *faults: Fault, times: int = 1, on: str = "") -> None:
        """Answers the next requests like this, in order; with `on`, only those of that operation."""
        with self.lock:
            self._faults += [(on, fault) for fault in faults * times]

    def next_fault(self, operation: str) -> Fault | None:
        with self.lock:
            for position, (on, fault) in enumerate(self._faults):
                if on in ("", operation):
                    del self._faults[position]
                    return fault
        return None

    def behave(self) -> None:
        with self.lock:
            self._faults.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        if kind is None:
            assert not self.misshapen, self.misshapen


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *request: Any) -> None:
        """A client that hung up is the client's to tell."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*request)


class _Handler(BaseHTTPRequestHandler):
    stand_in: StandIn
    protocol_version = "HTTP/1.1"
    timeout = _HANG_SECONDS

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = shapes.operation(self.command, address.path.removeprefix("/api/v2")) if address.path.startswith("/api/v2/") else None
        with self.stand_in.lock:
            self.stand_in.calls.append(Call(asked.name if asked else "", self.command, self.path, _parsed(body), dict(self.headers)))
        fault = self.stand_in.next_fault(asked.name if asked else "")
        if fault is None or fault.accepts:
            status, answer = self._answer(asked, body, parse_qs(address.query))
            if asked and (wrong := asked.answer_fault(status, answer)):
                self.stand_in.misshapen.append(f"our own answer {status} to {self.command} {self.path}: {wrong}")
        if fault is None:
            self._send(status, answer, {})
        else:
            self._misbehave(fault)

    def _misbehave(self, fault: Fault) -> None:
        if fault.hangs:
            self.stand_in.ended.wait(_HANG_SECONDS)
        if fault.hangs or fault.closes:
            self.close_connection = True
            return
        self._send(fault.status, fault.body, fault.headers, fault.pause)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], pause: float = 0) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for piece in [body[i : i + 1] for i in range(len(body))] if pause else [body]:
                if pause and self.stand_in.ended.wait(pause):
                    break
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:
            self.close_connection = True  # nobody listens any more

    def _answer(self, asked: shapes.Operation | None, body: bytes, query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        if self.headers.get("Circle-Token") != TOKEN:
            return _message(401, "You must log in first.")
        if asked is None:
            self.stand_in.misshapen.append(f"no such request: {self.command} {self.path}")
            return _message(404, "Not found.")
        if wrong := asked.request_fault(body):
            self.stand_in.misshapen.append(f"{self.command} {self.path}: {wrong}")
            return _message(400, wrong)
        values = {name: unquote(value) for name, value in asked.values.items()}
        try:
            return getattr(self, f"_{asked.name}")(values, json.loads(body or b"{}"), query)
        except LookupError:
            return _message(404, "Not found.")

    def _run(self, values: Mapping[str, str], body: Mapping[str, Any], query: Any) -> tuple[int, bytes]:
        if body["definition_id"] != DEFINITION:
            return _message(404, "Pipeline definition not found.")
        return self._start(values, body["config"].get("branch", ""), body.get("parameters", {}))

    def _trigger(self, values: Mapping[str, str], body: Mapping[str, Any], query: Any) -> tuple[int, bytes]:
        if self.stand_in.project == APP:
            return _message(400, "This project's pipelines are started by definition.")
        return self._start(values, body.get("branch", ""), body.get("parameters", {}))

    def _start(self, values: Mapping[str, str], branch: str, parameters: Mapping[str, Any]) -> tuple[int, bytes]:
        circleci = self.stand_in
        if "/".join((values["provider"], values["organization"], values["project"])) != circleci.project:
            return _message(404, "Project not found.")
        if branch != "main":
            return _message(400, f"Branch not found: {branch}")
        if circleci.declared is not None and (unknown := [name for name in parameters if name not in circleci.declared]):
            return _message(400, f"Unexpected argument(s): {', '.join(unknown)}")
        with circleci.lock:
            made = circleci.runner.start(parameters)
            circleci.started.append(Started(made.id, made.number, branch, parameters))
        return 201, json.dumps({"id": made.id, "number": made.number, "state": "pending", "created_at": _time(datetime.now(UTC))}).encode()

    def _workflows(self, values: Mapping[str, str], body: Any, query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        number = next((made.number for made in self.stand_in.started if made.id == values["id"]), 1)
        items = [
            {
                "id": workflow.id,
                "name": workflow.name,
                "status": workflow.status,
                "created_at": _time(workflow.created_at),
                "stopped_at": None,
                "pipeline_id": values["id"],
                "pipeline_number": number,
                "project_slug": self.stand_in.project,
                "started_by": _SOMEBODY,
            }
            for workflow in self.stand_in.runner.workflows(values["id"])
        ]
        return self._page(items, query)

    def _jobs(self, values: Mapping[str, str], body: Any, query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        items = []
        for job in self.stand_in.runner.jobs(values["id"]):
            told = {"id": job.id, "name": job.name, "type": job.type, "status": job.status, "dependencies": [], "project_slug": self.stand_in.project}
            items.append(told | ({"approval_request_id": job.approval} if job.type == "approval" and job.approval else {"started_at": None}))
        return self._page(items, query)

    def _approve(self, values: Mapping[str, str], body: Any, query: Any) -> tuple[int, bytes]:
        if values["approval_request_id"] not in [job.approval for job in self.stand_in.runner.jobs(values["id"])]:
            raise LookupError(values["approval_request_id"])
        self.stand_in.runner.approve(values["approval_request_id"])
        return _message(202, "Accepted.")

    def _page(self, items: list[dict[str, Any]], query: Mapping[str, list[str]]) -> tuple[int, bytes]:
        start = int(query.get("page-token", ["0"])[0])
        end = start + self.stand_in.page
        return 200, json.dumps({"items": items[start:end], "next_page_token": str(end) if end < len(items) else None}).encode()


def _message(status: int, text: str) -> tuple[int, bytes]:
    return status, json.dumps({"message": text}).encode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body
