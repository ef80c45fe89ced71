"""The documents are true where that can be checked: links, names of proofs, limits with their defaults, code."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

import pytest

from inproc import InprocOptions, InprocTransportManager
from litz import PerKey, ResumeOptions, StreamOptions
from litz.episodes import EpisodeOptions
from litz.payload import DEFAULT_WIRE_PREFERENCE
from litz.pipeline import PipelineOptions, Way
from litz.supervision import Supervise
from outproc import TransportOptions
from outproc.outbox import InboxOptions, OutboxOptions
from outproc.relay_options import RelayOptions
from outproc.session.limits import SessionLimits, StreamLimits
from outproc.wire_choice import BestWire
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket.builder import WebSocketWireBuilder
from outproc.wires.websocket.port import PortLimits
from tests.house import documents
from tests.house.documents import Block, Document, python_blocks, table
from tests.house.sources import ROOT, none_of

Rule = Callable[[Sequence[Document]], list[str]]

RUNNABLE = [block for block in python_blocks(documents.documents()) if "runnable" in block.info]

BAD: list[tuple[Rule, str]] = [
    (documents.links_resolve, "see [it](gone.md)"),
    (documents.links_resolve, "see [it](../../README.md#no-such-heading)"),
    (documents.links_resolve, "see [it](#nowhere)"),
    (documents.paths_exist, "see `outproc/gone.py`"),
    (documents.make_targets_exist, "run `make coffee`"),
    (documents.proofs_exist, "`tests/house/test_house_docs.py::test_gone`"),
    (documents.proofs_exist, "`tests/house/gone.py::test_gone`"),
    (documents.proofs_exist, "`tests/house/test_house_docs.py::test_documents`, `::test_gone`"),
    (documents.proofs_exist, "`core:gone`"),
    (documents.proofs_exist, "`mutant:gone`"),
    (documents.python_compiles, "```python\nif\n```"),
    (documents.python_compiles, "```python runnable\nawait x\n```"),
]

GOOD = """# A heading: of `code`
[out](https://example.org/gone) [in](../../README.md) [up](#a-heading-of-code) `outproc/session/`
`make test` `tests/house/test_house_docs.py::test_documents` `::sample` `managers:loud` `core:intact`
`mutant:half-reused` `ws://127.0.0.1:0` `outproc/*.py`
```python
async with a: await b
```
```
if `outproc/gone.py`
```
"""


def sample(text: str) -> list[Document]:
    return [
        Document(PurePosixPath("docs/below/sample.md"), text),
        Document(PurePosixPath("README.md"), "# The only heading\n"),
    ]


@pytest.mark.parametrize("rule", documents.RULES, ids=lambda rule: rule.__name__)
def test_documents(rule: Rule) -> None:
    none_of(rule(documents.documents()))


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_what_is_not_true_is_seen(rule: Rule, text: str) -> None:
    assert len(rule(sample(text))) == 1


@pytest.mark.parametrize("rule", documents.RULES, ids=lambda rule: rule.__name__)
def test_good_documents_pass(rule: Rule) -> None:
    assert rule(sample(GOOD)) == []


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_programs_in_documents_run(block: Block) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def limits() -> Document:
    return next(document for document in documents.documents() if str(document.path) == "docs/limits.md")


def value_of(text: str) -> object:
    """The value that a cell of a table stands for."""
    if text == "none":
        return {}
    if text == "any":
        return dict(DEFAULT_WIRE_PREFERENCE)
    if text == "on":
        return True
    if text == "the best":
        return BestWire()
    if text.startswith("`"):
        return text.strip("`")
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * {"": 1, "s": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit]


def defaults_of(function: Callable[..., object]) -> dict[str, Any]:
    """The parameters that have a number or a word as default."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if type(each.default) in (int, float, str)}


def plain(options: Any) -> dict[str, Any]:
    """The options that have a number as default."""
    values = {each.name: getattr(options, each.name) for each in fields(options)}
    return {name: value for name, value in values.items() if type(value) in (int, float)}


@pytest.mark.parametrize(
    ("heading", "true"),
    [
        ("TransportOptions", dict(TransportOptions())),
        ("SessionLimits", asdict(SessionLimits())),
        ("StreamLimits", asdict(StreamLimits())),
        ("OutboxOptions", OutboxOptions().model_dump(exclude={"synchronous"})),
        ("InboxOptions", InboxOptions().model_dump(exclude={"synchronous"})),
        ("InprocOptions", asdict(InprocOptions())),
        (
            "StreamOptions",
            {name: value for name, value in asdict(StreamOptions()).items() if type(value) in (int, float)},
        ),
        ("ResumeOptions", plain(ResumeOptions())),
        ("Supervise", plain(Supervise())),
        ("PerKey", plain(PerKey())),
        ("EpisodeOptions", plain(EpisodeOptions())),
        ("PipelineOptions", plain(PipelineOptions())),
        ("Way", plain(Way())),
        ("RelayOptions", RelayOptions().model_dump(exclude={"allow_relay"})),
        ("PortLimits", asdict(PortLimits())),
        ("WebSocketWireBuilder", defaults_of(WebSocketWireBuilder)),
        ("WebRtcOptions", {name: value for name, value in WebRtcOptions() if type(value) in (int, float)}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_and_their_defaults(heading: str, true: dict[str, Any]) -> None:
    assert {name: value_of(cell) for name, cell in table(limits(), heading).items()} == true


def test_the_manager_in_process_has_the_same_defaults_as_its_options() -> None:
    assert defaults_of(InprocTransportManager) == asdict(InprocOptions())


def test_fixed_limits() -> None:
    cells = table(limits(), "Fixed limits")
    assert len(cells) > 10
    for name, cell in cells.items():
        module, _, constant = name.partition(":")
        assert getattr(import_module(module), constant) == value_of(cell), name
