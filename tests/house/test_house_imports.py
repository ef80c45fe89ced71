"""What is loaded when litz starts: only what everybody needs. The rest is imported where it is used.

Judged by which modules are there, in a fresh process, never by time.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from outproc.cli.commands import COMMANDS
from tests.house.sources import PACKAGES, ROOT

LISTENING = ("aiohttp",)
ENGINES = ("aiortc", "av", "wrtc", "grpc")
CERTIFICATES = ("cryptography.x509", "outproc.security.mutual_tls", "outproc.security.tls_files")
TOKENS = ("jwt", "outproc.security.tokens")
RARE = (*LISTENING, *ENGINES, *CERTIFICATES, *TOKENS, "rich", "outproc.outbox")
LATE = ("litz", "outproc", "outproc.security", "outproc.wires.websocket")


def loaded_by(code: str) -> set[str]:
    """The modules that are there after `code`, beyond those of a bare interpreter in this environment."""
    tell = "\nimport sys\nprint('loaded:', *sys.modules)"
    given = [sys.executable, "-c"]
    done = [
        subprocess.run([*given, each + tell], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True).stdout
        for each in ("", code)
    ]
    bare, found = (set(output.rpartition("loaded:")[2].split()) for output in done)
    return found - bare


def helps(*commands: str) -> str:
    """Code that asks for the help of the commands."""
    return (
        "from contextlib import suppress\nfrom outproc.cli.entry import main\nimport sys\n"
        f"for words in {[[*command.split(), '--help'] for command in commands]}:\n"
        "    sys.argv = ['litz', *words]\n"
        "    with suppress(SystemExit):\n"
        "        main()"
    )


def tops(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def strangers(modules: set[str]) -> set[str]:
    """Packages that are neither ours nor of the standard library."""
    return tops(modules) - sys.stdlib_module_names - set(PACKAGES)


def of(modules: set[str], unwanted: tuple[str, ...]) -> list[str]:
    return sorted(name for name in modules if any(name == each or name.startswith(f"{each}.") for each in unwanted))


def test_import_litz_loads_errors_and_nothing_of_others() -> None:
    loaded = loaded_by("import litz")
    assert not strangers(loaded)
    assert not of(loaded, ("asyncio", "ssl", "litz.manager", "litz.events", "litz.stream"))


def test_import_outproc_loads_nothing() -> None:
    assert tops(loaded_by("import outproc")) & {"asyncio", "litz", "pydantic", "cryptography"} == set()


def test_a_manager_that_only_dials_does_without_what_listeners_and_certificates_need() -> None:
    loaded = loaded_by(
        "from outproc import OutprocTransportManager\nOutprocTransportManager('a', directory={'b': ['ws://127.0.0.1:1']})"
    )
    assert "outproc.wires.websocket.builder" in loaded, "the kinds of wire that are installed were not looked for"
    assert not of(loaded, RARE)


@pytest.mark.parametrize("command", ["", "mistyped"])
def test_the_help_of_litz_loads_no_command(command: str) -> None:
    loaded = loaded_by(helps(command))
    assert not strangers(loaded)
    assert not of(loaded, ("asyncio", *(f"outproc.cli.{name}" for name in COMMANDS)))


def test_commands_that_ask_a_running_node_load_no_node() -> None:
    loaded = loaded_by(helps("status", "ping", "events"))
    assert strangers(loaded) <= {"rich", "pygments", "markdown_it", "mdurl"}
    assert not of(loaded, ("outproc.manager", "outproc.handshake"))


def test_commands_with_a_node_load_what_every_node_needs_and_no_more() -> None:
    loaded = loaded_by(helps("up", "send", "recv", "expose", "forward"))
    assert "outproc.manager" in loaded
    assert not of(loaded, RARE)


@pytest.mark.parametrize("package", LATE)
def test_every_public_name_can_be_had_although_it_is_loaded_late(package: str) -> None:
    loaded = loaded_by(f"import {package}\nassert all(hasattr({package}, name) for name in {package}.__all__)")
    assert loaded
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        _ = module.nothing
