"""File names from peers stay inside the directory, are never hidden, and never overwrite."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outproc.cli.file_names import MAX_NAME_BYTES, numbered, safe_name


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("movie.mkv", "movie.mkv"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a/", "a"),
        (".bashrc", "bashrc"),
        ("-rf", "rf"),
        ("..", "file"),
        ("", "file"),
        ("/", "file"),
        ("a\0b\nc", "a_b_c"),
        ("evil\u202ecod.exe", "evil_cod.exe"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        ("x" * 300 + ".tar", "x" * (MAX_NAME_BYTES - 4) + ".tar"),
    ],
)
def test_names(given_name: str, safe: str) -> None:
    assert safe_name(given_name) == safe


@given(st.text(max_size=400))
def test_any_name_is_a_plain_base_name(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode("utf-8", "surrogatepass")) <= MAX_NAME_BYTES
    assert not set(safe) & set("/\\\0\n\r")
    assert not safe.startswith((".", "-"))
    assert safe_name(safe) == safe


def test_numbers_go_before_the_suffix() -> None:
    assert list(islice(numbered("a.txt"), 3)) == ["a.txt", "a (1).txt", "a (2).txt"]
    assert list(islice(numbered("a"), 2)) == ["a", "a (1)"]
