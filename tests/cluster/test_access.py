"""The wait for the API server, against one that answers on loopback, and a command that prints a token."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from corral.cluster.access import LetInProvider, status, token, wait_until_let_in


class ApiServer(BaseHTTPRequestHandler):
    """Lets in whoever has the token."""

    def do_GET(self) -> None:
        let_in = self.headers["Authorization"] == "Bearer k8s-aws-v1.token"
        self.send_response(200 if let_in and self.path == "/api/v1/namespaces/kube-system" else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), ApiServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("bearer", "want"), [("k8s-aws-v1.token", 200), ("another", 401)])
def test_the_status_is_what_the_server_answers_to_this_token(endpoint: str, bearer: str, want: int):
    assert status(endpoint, "", bearer) == want


def test_a_server_that_cannot_be_reached_has_a_reason_and_no_status():
    with HTTPServer(("127.0.0.1", 0), ApiServer) as server:
        port = server.server_port
    assert "refused" in str(status(f"http://127.0.0.1:{port}", "", "any"))


def waited(answers: Sequence[int | str]) -> float:
    """The seconds for which these answers, the last one for ever, were waited for."""
    clock, left = [0.0], [*answers]

    def wait(seconds: float) -> None:
        clock[0] += seconds

    wait_until_let_in("corral-prod", lambda: left.pop(0) if left[1:] else left[0], wait, lambda: clock[0])
    return clock[0]


def test_an_entry_may_take_effect_seconds_later():
    assert (waited([200]), waited([401, 403, 200]), waited(["timed out", 401, 200])) == (0, 10, 10)


GOES_ON = "The cluster is there: the next `pulumi up` goes on from here."


UNREACHED = (
    "the API server of the cluster corral-prod cannot be reached from this machine (timed out): give its address under "
    f"corral:cluster.publicFrom, or run Pulumi where it is reached. {GOES_ON}"
)
UNKNOWN = (
    "the API server of the cluster corral-prod does not let this identity in (401): `aws eks list-access-entries "
    f"--cluster-name corral-prod` has to list the one that `aws sts get-caller-identity` names. {GOES_ON}"
)
ILL = f"the API server of the cluster corral-prod answers 500. {GOES_ON}"


@pytest.mark.parametrize(("answer", "want"), [("timed out", UNREACHED), (401, UNKNOWN), (500, ILL)], ids=str)
def test_what_does_not_let_the_deployer_in_ends_with_the_way_out(answer: int | str, want: str):
    with pytest.raises(RuntimeError) as refused:
        waited([answer])
    assert str(refused.value) == want


def prints(text: str, status: int = 0) -> list[str]:
    """A command that prints this, as the AWS CLI prints a token, or an error."""
    stream = "stderr" if status else "stdout"
    return [sys.executable, "-c", f"import sys; sys.{stream}.write({text!r}); sys.exit({status})"]


def test_the_token_is_the_commands_and_in_no_error():
    assert token(prints(json.dumps({"status": {"token": "k8s-aws-v1.token"}}))) == "k8s-aws-v1.token"
    with pytest.raises(RuntimeError, match=r"fails \(no credentials\): the AWS CLI, in version 2, has to be on this"):
        token(prints("no credentials", 255))
    with pytest.raises(RuntimeError, match=r"`no-such-command` cannot be run \(FileNotFoundError\): the AWS CLI"):
        token(["no-such-command", "eks", "get-token"])


COMMAND = prints(json.dumps({"status": {"token": "k8s-aws-v1.token"}}))


def test_it_is_asked_again_when_the_stack_changes_who_is_let_in(endpoint: str):
    asked = {"name": "corral-prod", "endpoint": endpoint, "certificate": "", "command": COMMAND, "preview": False}
    before, after = asked | {"access": ["a"]}, asked | {"access": ["a", "b"]}
    provider = LetInProvider()
    assert (provider.check({}, before).failures, provider.create(before).outs) == ([], before)
    assert (provider.diff("", before, before).changes, provider.diff("", before, after).changes) == (False, True)
    assert (provider.check(before, after).failures, provider.update("", before, after).outs) == ([], after)


@pytest.mark.parametrize("known", [{"preview": True}, {}], ids=["a preview", "nothing has changed"])
def test_it_is_not_asked_in_a_preview_nor_where_nothing_has_changed(known: dict[str, bool]):
    asked = {"name": "corral-prod", "endpoint": "http://127.0.0.1:1", "command": ["no-such-command"], "preview": False}
    assert LetInProvider().check({} if known else asked, asked | known).failures == []


def test_a_command_that_is_not_there_is_a_refusal_and_no_traceback():
    asked = {"name": "corral-prod", "endpoint": "http://127.0.0.1:1", "command": ["no-such-command"], "preview": False}
    (failure,) = LetInProvider().check({}, asked | {"certificate": ""}).failures
    assert failure.reason.startswith("`no-such-command` cannot be run")
