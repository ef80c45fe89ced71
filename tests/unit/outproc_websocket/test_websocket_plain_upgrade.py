"""Plain upgrade requests: what is taken without a judge is exactly what a judge would take, and nothing else."""

from __future__ import annotations

import pytest
from websockets.utils import accept_key

from outproc.wires.websocket.plain_upgrade import plain_upgrade
from tests.unit.outproc_websocket.kit import KEY, request_head


def test_the_request_of_a_litz_peer_is_plain_and_answered() -> None:
    plain = plain_upgrade(request_head("/litz"))
    assert plain is not None
    assert plain.path == "/litz"
    status, *fields = plain.answer.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert status == "HTTP/1.1 101 Switching Protocols"
    assert f"Sec-WebSocket-Accept: {accept_key(KEY)}" in fields
    assert "Sec-WebSocket-Protocol: litz.1" in fields


def test_lists_and_other_headers_do_not_matter() -> None:
    head = request_head(
        connection="keep-alive, Upgrade", sec_websocket_protocol="other, litz.1", user_agent="x", upgrade="WebSocket"
    )
    assert plain_upgrade(head) is not None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(request_head(origin="https://evil.example"), id="an origin"),
        pytest.param(request_head(content_length="3"), id="a body"),
        pytest.param(request_head(transfer_encoding="chunked"), id="a body in chunks"),
        pytest.param(request_head(upgrade="h2c"), id="another upgrade"),
        pytest.param(request_head(connection="keep-alive"), id="no upgrade of this connection"),
        pytest.param(request_head(sec_websocket_version="12"), id="another version"),
        pytest.param(request_head(sec_websocket_key=None), id="no key"),
        pytest.param(request_head(sec_websocket_key="AAAA"), id="a short key"),
        pytest.param(request_head(sec_websocket_key="%" * 24), id="a key that is not base64"),
        pytest.param(request_head(sec_websocket_protocol="other"), id="another protocol"),
        pytest.param(request_head(sec_websocket_protocol=None), id="no protocol"),
        pytest.param(request_head(method="POST"), id="another method"),
        pytest.param(request_head().replace(b"HTTP/1.1", b"HTTP/1.0"), id="old HTTP"),
        pytest.param(request_head().replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(request_head(user_agent="x\r\n folded"), id="a folded line"),
        pytest.param(request_head(user_agent="\x00"), id="a control character"),
        pytest.param(request_head(user_agent="x\r\nUser-Agent: y"), id="a header twice"),
        pytest.param(request_head(user_agent="x\r\nUser-Agent : y"), id="a space before the colon"),
        pytest.param(request_head(**{f"x{number}": "1" for number in range(64)}), id="too many headers"),
        pytest.param(request_head()[:-2], id="no empty line"),
        pytest.param(request_head() + b"x", id="more than a head"),
    ],
)
def test_whatever_needs_a_judgement_is_left_to_the_judge(head: bytes) -> None:
    assert plain_upgrade(head) is None
