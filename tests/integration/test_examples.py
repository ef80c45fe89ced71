"""Every example runs as a user would run it, and prints what it should."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

OUTPUTS = {
    "inproc_hello": ["bob got {'hello': 'bob'} from alice", "1 + 2 + 3 = 6"],
    "request_reply": [
        "alice got: you said hello",
        "alice got: LookupError: nothing here",
        "alice gave up",
        "bob: the caller gave up, so I stop too",
        "alice got: you said bye",
    ],
    "custom_wire": ["bob got b'hello, bob'", "alice: closed here", "bob: closed by the peer"],
    "actor_loop": [
        "ping at east got 0",
        "pong at west got 1",
        "ping at east got 2",
        "pong at west got 3",
        "ping at east got 4",
    ],
    "pipeline": [
        "100 replies, slow has 550, quick has 4500",
        "alice: drained, 100 sent",
        "bank: complete, 100 handled, 0 outstanding",
    ],
    "grpc_pipeline": [
        "cake for ann, milk for bob, tea for ann",
        "dead letter: bob wants nothing, after 2 attempts: ValueError: an order of nothing",
        "status: OK",
    ],
    "supervision": [
        "done: first job",
        "done: flaky job",
        "done: last job",
        "handled 3, retried 2",
        "dead letter from alice: broken job, after 1 attempt: ValueError: this job makes no sense",
    ],
    "episodes": [
        "local: 300 tokens, all in order: True",
        "remote: 300 tokens, all in order: True",
        "restarted after 100: 300 tokens, all in order: True",
    ],
    "streams": [
        "holiday.jpg: 2001690 bytes from alice",
        "enough of [0, 1, 2, 3, 4]",
        "refused: True",
        "cut off: StreamLostError",
    ],
    "pipes": ["picture from alice: as it was sent"],
    "resumable_pipe": ["ONE", "TWO", "THREE", "0 bytes more, then the end; one connection: False"],
    "ordering": ["anna: [0, 1, 2, 3]", "bert: [0, 1, 2]"],
    "backpressure": [
        "Queue: 2 at once, 8 of 8 served",
        "Reject: 2 at once, 2 of 8 served",
        "high: slow down",
        "AdmissionRefusedError: uploads (SoftAllowSignal) refused 1 at once, 400 bytes: 4 at once, 1600 bytes are "
        "admitted (at most 4 at once, 4000 bytes)",
        "low: go on",
    ],
    "durable": [
        "alice: accepted for bob, who is down: 3",
        "bob: shipped order 1",
        "bob: shipped order 2",
        "bob: shipped order 3",
        "alice: left in the outbox: 0",
    ],
    "restarts": [
        "bob: does work 1",
        "bob: does work 2, which may have come before",
        "bob: does work 3, which may have come before",
        "alice: peer restarted; sent again: 2, lost: 0",
    ],
    "rights": ["bob talks to ['alice']", "mallory: UnauthenticatedError", "dropped: ('alice',)", "bob talks to []"],
    "identity": ["alice, verified True: it is really me", "mallory: UnauthenticatedError"],
    "several_wires": [
        "ws wire: dialled 2 times",
        "memory wire: dialled 1 times",
        "1,000 messages, in order, none twice: True",
    ],
}
LONGER = {"custom_wire"}
"""A whole kind of wire, with its builder and listener, takes more than a screen."""


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py"), *arguments]


@pytest.mark.parametrize("name", OUTPUTS)
def test_example(name: str, tmp_path: Path) -> None:
    # The C++ part of gRPC tells of connections that end, on stderr, when it likes.
    environment = {**os.environ, "GRPC_VERBOSITY": "ERROR"}
    result = subprocess.run(
        command(name), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    # Two ends may print in either order.
    assert sorted(result.stdout.splitlines()) == sorted(OUTPUTS[name])


def test_server_and_client(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command("server", "ws://127.0.0.1:0"), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            found = re.fullmatch(r"bob listens at (ws://127\.0\.0\.1:\d+)\n", server.stdout.readline())
            assert found is not None
            client = subprocess.run(
                command("client", found[1]), cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
            )
            assert (client.returncode, client.stderr) == (0, "")
            assert client.stdout.splitlines() == [
                "accepted as number 0 of lane 0 to bob",
                "bob has processed the signal",
                "bob has everything",
            ]
            heard = [server.stdout.readline() for _ in range(5)]
            # The signal overtakes; the others keep their order.
            assert "alice says now!\n" in heard
            rest = [line for line in heard if "now!" not in line]
            assert rest == [f"alice says {word}\n" for word in ("hello", "one", "two", "three")]
            server.send_signal(signal.SIGINT)
            assert server.wait(120) == 0
        finally:
            server.kill()


def test_every_example_is_tested_and_short() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {*OUTPUTS, "server", "client"}
    for name in names - LONGER:
        assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 60, name
