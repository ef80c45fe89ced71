"""What holds for every test: it ends, and it leaves nothing behind.

After an async test no task is left. After any test no socket, thread or child process is, that was not
there before, nothing was reported to the loop's exception handler, and no `__del__` raised or warned.
A test that takes longer than its limit fails with the stacks of all threads and tasks (`tests/hang.py`).

What a fixture of a wider scope than `function` opens is not counted against the tests.
"""

from __future__ import annotations

import asyncio
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.hang import DEFAULT_LIMIT, arm_last_resort, interruptible, limited, use_stderr_of
from tests.leaks import Holdings, tasks_left

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

_before = pytest.StashKey[Holdings]()
_loop_errors = pytest.StashKey[list[str]]()


def not_run(reason: str) -> NoReturn:
    """Say that this machine lacks what the test needs. Under CI that is a failure, elsewhere a skip."""
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(f"not run: {reason}")
    pytest.fail(f"not run: {reason} (and CI=true makes that a failure)", pytrace=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--uvloop", action="store_true", help="run every async test on uvloop")
    parser.addoption("--limit", type=float, default=DEFAULT_LIMIT, help="seconds that a test may take")


def pytest_configure(config: pytest.Config) -> None:
    use_stderr_of(config)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # nothing that a test dials is behind the proxy of whoever runs it
    # Every process that a test starts would compile all of litz anew: a third of what it takes to be up.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background deaf to Ctrl-C, and all its children would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes says nothing but how busy the machine is.
    settings.register_profile("litz", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("litz")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    plain: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    wants_both = item.get_closest_marker("both_loops") is not None
    if not wants_both and item.get_closest_marker("uvloop") is None and not config.getoption("uvloop"):
        return plain
    try:
        import uvloop
    except ImportError:
        return plain if wants_both else {"uvloop": _no_uvloop}
    fast: dict[str, LoopFactory] = {"uvloop": uvloop.new_event_loop}
    return plain | fast if wants_both else fast


def _no_uvloop() -> asyncio.AbstractEventLoop:
    not_run("uvloop is not installed")


def pytest_collection_finish() -> None:
    """What exists before the first test is not garbage: leave it out, and a full collection is cheap."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    marker = item.get_closest_marker("limit")
    seconds = float(marker.args[0]) if marker is not None else item.config.getoption("--limit")
    with limited(seconds, lambda stacks: item.add_report_section("call", "hang", stacks)):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    with interruptible():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    with interruptible():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """After all fixtures of the test are gone, its event loop included, so is what they held."""
    arm_last_resort()
    with interruptible(), _unraisables() as raised:
        yield
        gc.collect()
    left = Holdings.now().left_since(item.stash[_before]) if _before in item.stash else []
    wrong = [*item.stash.get(_loop_errors, []), *raised, *left]
    if wrong:
        pytest.fail("the test left something behind:\n" + "\n".join(wrong), pytrace=False)


@contextmanager
def _unraisables() -> Iterator[list[str]]:
    """Collect what `__del__` raises (warnings are errors), so that it is blamed on the test that made it."""
    raised: list[str] = []

    def record(unraisable: Any) -> None:
        text = "".join(traceback.format_exception(unraisable.exc_value))
        raised.append(f"{unraisable.err_msg or 'exception ignored in'} {unraisable.object!r}: {text}")

    previous = sys.unraisablehook
    sys.unraisablehook = record
    try:
        yield raised
    finally:
        sys.unraisablehook = previous


@pytest.fixture
def loop_errors(request: pytest.FixtureRequest) -> list[str]:
    """What was reported to the loop's exception handler. A test that provokes a report clears it."""
    return request.node.stash.setdefault(_loop_errors, [])  # type: ignore[no-any-return]  # a node is Any here


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> None:
    request.node.stash[_before] = Holdings.now()
    if asyncio.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_no_task_left")


@pytest.fixture
async def _no_task_left(loop_errors: list[str]) -> AsyncIterator[None]:
    """Outermost of the async fixtures, so the test's own are gone when it looks."""

    def record(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        trace = "".join(traceback.format_exception(error)) if error is not None else repr(context)
        loop_errors.append(f"reported to the loop: {context.get('message')}: {trace}")

    asyncio.get_running_loop().set_exception_handler(record)
    yield
    left = await tasks_left()
    if left:
        listing = io.StringIO()
        for task in left:
            task.print_stack(limit=4, file=listing)
        pytest.fail(f"{len(left)} task(s) left behind:\n{listing.getvalue()}", pytrace=False)
