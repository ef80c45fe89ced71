"""Builds `litz.js` from the modules in `src/`: one ES module, without comments, white space and long local names.

    python -m outproc.node.web.bundle          writes outproc/node/web/litz.js
    python -m outproc.node.web.bundle --check  fails if that file is not what the sources give

Conservative on purpose: it knows tokens and no scopes. A name is shortened, everywhere alike, only if it is declared in
the sources and nowhere the name of a property; so are `#private` names. The same sources give the same bytes.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from string import ascii_letters
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent
BUNDLE: Final = HERE / "litz.js"

MODULES: Final = (
    "bytes",
    "frames",
    "halves",
    "lanes",
    "receive_lane",
    "send_lane",
    "session",
    "json",
    "fields",
    "proofs",
    "handshake",
    "wires",
    "link",
    "peer",
    "inbox",
    "litz",
)
"""In the order in which they need each other."""

HEADER: Final = "// litz.js: built from outproc/node/web/src by outproc.node.web.bundle; Apache-2.0.\n"

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<name>[#]?[A-Za-z_$][\w$]*)
    |(?P<number>0[xX][\da-fA-F]+n?|\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?n?)
    |(?P<mark>\?\.(?!\d)|\?\?=|\.\.\.|=>|/=?|[-+*%&|^<>=!?]+|[{}()\[\];,.:~])""",
    re.VERBOSE | re.DOTALL,
)
_REGEX: Final = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_KEYWORDS_BEFORE_VALUE: Final = {"return", "typeof", "case", "in", "of", "new", "await", "yield"}
_DECLARING: Final = {"const", "let", "class", "function"}


class Token(NamedTuple):
    """One token: what kind it is, its text, and whether a line ends before it."""

    kind: str
    text: str
    new_line: bool


class BundleError(Exception):
    """The sources have something that this builder does not understand."""


def tokens_of(source: str) -> Iterator[Token]:
    """The tokens of a module, without white space and comments."""
    at, new_line, before = 0, False, Token("mark", ";", False)
    while at < len(source):
        if source[at] == "`":
            end = _template_end(source, at)
            token = Token("template", source[at:end], new_line)
        elif source[at] == "/" and not source.startswith(("//", "/*"), at) and _value_follows(before):
            found = _REGEX.match(source, at)
            if found is None:
                raise BundleError(f"no regular expression: {source[at : at + 40]!r}")
            token = Token("regex", found[0], new_line)
        else:
            found = _TOKEN.match(source, at)
            if found is None:
                raise BundleError(f"cannot read: {source[at : at + 40]!r}")
            if found.lastgroup == "space":
                new_line = new_line or "\n" in found[0]
                at = found.end()
                continue
            token = Token(found.lastgroup or "", found[0], new_line)
        yield token
        at += len(token.text)
        new_line, before = False, token


def _value_follows(before: Token) -> bool:
    """Whether a `/` after this token begins a regular expression and is no division."""
    if before.kind == "name":
        return before.text in _KEYWORDS_BEFORE_VALUE
    return before.kind == "mark" and before.text not in (")", "]", "}")


def _template_end(source: str, at: int) -> int:
    depth, at = 0, at + 1
    while depth or source[at] != "`":
        if source[at] == "\\":
            at += 1
        elif source.startswith("${", at):
            depth += 1
            at += 1
        elif depth and source[at] in "{`":
            raise BundleError("a template inside a template, or braces in one")
        elif depth and source[at] == "}":
            depth -= 1
        at += 1
    return at + 1


def joined(sources: Sequence[str]) -> tuple[list[Token], str]:
    """The modules as one: imports go, exports stay on the last only. Returns the tokens, and the last export."""
    together: list[Token] = []
    known: Counter[str] = Counter()
    for text in sources:
        own = re.sub(r"^import [^;]*;\n", "", text, flags=re.MULTILINE)
        last = re.search(r"^export \{[^}]*\};\n", own, flags=re.MULTILINE)
        final = last[0] if last else ""
        own = own.replace(final, "") if final else own
        exported = re.findall(r"^export (?:const|class|function) (\w+)", own, flags=re.MULTILINE)
        known.update(re.findall(r"^(?:export )?(?:async )?(?:const|class|function|let) (\w+)", own, flags=re.MULTILINE))
        together += tokens_of(re.sub(r"^export ", "", own, flags=re.MULTILINE))
    twice = [name for name, count in known.items() if count > 1]
    if twice:
        raise BundleError(f"two modules have the same name at their top: {', '.join(twice)}")
    names = [*exported, *re.findall(r"\w+", final.removeprefix("export"))]
    return together, ",".join(names)


def shortened(tokens: Sequence[Token], keep: set[str]) -> list[Token]:
    """The tokens with short names, the most frequent names first."""
    declared: set[str] = set()
    barred = set(keep)
    uses: Counter[str] = Counter()
    brackets: list[str] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1].text if index else ";"
        after = tokens[index + 1].text if index + 1 < len(tokens) else ";"
        if token.text in ("{", "(", "["):
            brackets.append(token.text)
        elif token.text in ("}", ")", "]"):
            brackets.pop()
        if token.kind == "template":
            barred.update(re.findall(r"[A-Za-z_$][\w$]*", token.text))
        if token.kind != "name":
            continue
        uses[token.text] += 1
        if token.text.startswith("#"):
            declared.add(token.text)  # no property of another kind can have this name
            continue
        if before in _DECLARING:
            declared.add(token.text)
        in_braces = bool(brackets) and brackets[-1] == "{"
        shorthand = in_braces and before in ("{", ",") and after in (",", "}", "=")
        method = in_braces and after == "(" and before in ("{", "}", ";", ",", "async", "get", "*", "static")
        if before in (".", "?.") or after == ":" or shorthand or (method and token.new_line):
            barred.add(token.text)
    names = sorted(declared - barred, key=lambda name: (-uses[name] * (len(name) - 1), name))
    taken = set(uses) | barred
    short = _short_names(taken)
    new = {name: ("#" if name.startswith("#") else "") + next(short) for name in names}
    return [token._replace(text=new.get(token.text, token.text)) if token.kind == "name" else token for token in tokens]


def _short_names(taken: set[str]) -> Iterator[str]:
    for length in (1, 2, 3):
        for letters in product(ascii_letters, repeat=length):
            name = "".join(letters)
            if name not in taken and name not in ("do", "if", "in", "of", "as"):
                yield name


def rendered(tokens: Sequence[Token]) -> str:
    """The program with as little white space as is safe; a line end stays where a statement may end by it."""
    parts: list[str] = []
    before = Token("mark", ";", False)
    for token in tokens:
        if token.new_line and _may_end(before) and _may_begin(token):
            parts.append("\n")
        elif _clash(before, token):
            parts.append(" ")
        parts.append(token.text)
        before = token
    return "".join(parts)


def _may_end(token: Token) -> bool:
    return token.kind != "mark" or token.text in (")", "]", "}")


def _may_begin(token: Token) -> bool:
    return token.kind != "mark" or token.text in ("(", "[", "{", "*", "++", "--", "!", "...")


def _clash(before: Token, token: Token) -> bool:
    words = ("name", "number")
    if before.kind in words and token.kind in words:
        return True
    return before.kind == token.kind == "mark" and before.text[-1] in "+-/" and token.text[0] in "+-/"


def bundle(sources: Sequence[str]) -> str:
    """The whole of `litz.js`. Raises `BundleError` for sources that it does not understand."""
    tokens, exports = joined(sources)
    text = rendered(shortened(tokens, set(exports.split(","))))
    return f"{HEADER}{text}\nexport{{{exports}}};\n"


def built() -> str:
    """`litz.js` as the sources in the package give it."""
    return bundle([(HERE / "src" / f"{name}.js").read_text("utf-8") for name in MODULES])


def main() -> None:
    """The command."""
    if "--check" in sys.argv[1:]:
        if BUNDLE.read_text("utf-8") != built():
            sys.exit("litz.js is not what its sources give; run: python -m outproc.node.web.bundle")
        return
    BUNDLE.write_text(built(), "utf-8")


if __name__ == "__main__":
    main()
