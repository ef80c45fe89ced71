"""Builds `litz.js` and `litz_webrtc.js` from the modules in `src/`, without comments, white space and long names.

    python -m outproc.node.web.bundle          writes both
    python -m outproc.node.web.bundle --check  fails if they are not what the sources give

It knows tokens and brackets, and no scopes: each name of a variable gets one short name, the same everywhere. Names of
properties stay as they are, those of `#private` ones excepted. The same sources give the same bytes.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise, product
from pathlib import Path
from string import ascii_letters
from typing import Final, NamedTuple

HERE: Final = Path(__file__).parent
BUNDLE: Final = HERE / "litz.js"
WEBRTC_BUNDLE: Final = HERE / "litz_webrtc.js"

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

WEBRTC_MODULES: Final = ("signaling", "data_channel", "litz_webrtc")
"""The second file, which litz.js loads when it is wanted. What it needs of the others it gets from litz.js."""

HEADER: Final = "// Built from outproc/node/web/src by outproc.node.web.bundle; Apache-2.0.\n"

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
_KEYWORDS: Final = frozenset(
    (
        *("async", "await", "break", "case", "catch", "class", "const", "constructor", "continue", "else", "export"),
        *(
            "extends",
            "false",
            "finally",
            "for",
            "function",
            "get",
            "if",
            "import",
            "in",
            "instanceof",
            "let",
            "new",
            "null",
            "of",
        ),
        *("return", "super", "this", "throw", "true", "try", "typeof", "void", "while", "yield"),
    )
)
GLOBALS: Final = frozenset(
    (
        *("AbortController", "Array", "ArrayBuffer", "BigInt", "CustomEvent", "DataView", "Error", "EventTarget"),
        *(
            "Infinity",
            "JSON",
            "kit",
            "Map",
            "Math",
            "MessageChannel",
            "Number",
            "Object",
            "Promise",
            "RTCPeerConnection",
        ),
        *("RangeError", "Set", "String", "TextDecoder", "TextEncoder", "TypeError", "URL", "Uint8Array", "WebSocket"),
        *("Date", "atob", "btoa", "clearInterval", "clearTimeout", "crypto", "globalThis", "parseInt", "performance"),
        *("setInterval", "setTimeout", "undefined"),
    )
)
"""What the sources use of the platform. Any other name that is no property is one of theirs."""


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
            *_, before = template = list(_template(source[at:end], new_line))
            yield from template
            at, new_line = end, False
            continue
        if source[at] == "/" and not source.startswith(("//", "/*"), at) and _value_follows(before):
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
    if before.kind == "template":
        return before.text.endswith("${")
    return before.kind == "mark" and before.text not in (")", "]", "}")


def _template(text: str, new_line: bool) -> Iterator[Token]:
    """A template literal: its text in pieces, with the tokens of what is put into it between them."""
    at = 0
    while (opened := text.find("${", at)) >= 0:
        closed = text.index("}", opened)
        yield Token("template", text[at : opened + 2], new_line and at == 0)
        yield from tokens_of(text[opened + 2 : closed])
        at = closed
    yield Token("template", text[at:], new_line and at == 0)


def _template_end(source: str, at: int) -> int:
    start, inside, at = at, False, at + 1
    while inside or source[at] != "`":
        if source[at] == "\\":
            at += 1
        elif source.startswith("${", at):
            inside = True
            at += 1
        elif inside and source[at] in "{`":
            raise BundleError(f"braces or a template in a template: {source[start:at]!r}")
        elif source[at] == "}":
            inside = False
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


class Role(Enum):
    """What a name stands for."""

    VARIABLE = "variable"
    SHORTHAND = "a property and the variable of the same name"
    PRIVATE = "private member"
    PROPERTY = "property"
    OTHER = "no name, or a word of the language"


def roles_of(tokens: Sequence[Token]) -> list[Role]:
    """The role of each token."""
    roles: list[Role] = []
    brackets = [""]
    in_class_head = False
    for index, token in enumerate(tokens):
        before = tokens[index - 1].text if index else ";"
        after = tokens[index + 1].text if index + 1 < len(tokens) else ";"
        roles.append(_role(token, before, after, brackets[-1]))
        if token.kind == "name" and token.text == "class":
            in_class_head = True
        elif token.kind == "template":
            if token.text.startswith("}"):
                brackets.pop()
            if token.text.endswith("${"):
                brackets.append("(")
        elif token.text == "{":
            brackets.append("class" if in_class_head else "block" if _opens_block(before) else "object")
            in_class_head = False
        elif token.text in ("(", "["):
            brackets.append(token.text)
        elif token.text in ("}", ")", "]"):
            brackets.pop()
    return roles


def _opens_block(before: str) -> bool:
    return before in ("=>", ")", ";", "{", "}", "else", "try", "finally", "catch")


def _role(token: Token, before: str, after: str, bracket: str) -> Role:
    if token.kind != "name" or (token.text in _KEYWORDS and before not in (".", "?.")):
        return Role.OTHER
    if token.text.startswith("#"):
        return Role.PRIVATE
    if before in (".", "?.") or bracket == "class":
        return Role.PROPERTY
    if bracket == "object" and before in ("{", ",", "async", "get"):
        if after in (":", "("):
            return Role.PROPERTY
        if after in (",", "}", "=") and before in ("{", ","):
            return Role.SHORTHAND
    return Role.VARIABLE


def shortened(tokens: Sequence[Token], keep: set[str]) -> list[Token]:
    """The tokens with short names, the most frequent names first. `keep` are names that stay."""
    roles = roles_of(tokens)
    uses: Counter[str] = Counter()
    for token, role in zip(tokens, roles, strict=True):
        if role in (Role.VARIABLE, Role.SHORTHAND, Role.PRIVATE) and token.text not in keep | GLOBALS:
            uses[token.text] += 1
    unknown = [name for name in uses if name[:1].isupper() and not _declared(name, tokens)]
    if unknown:
        raise BundleError(f"neither declared nor known of the platform: {', '.join(unknown)}")
    short = _short_names(keep | GLOBALS | _KEYWORDS)
    new = {
        name: ("#" if name.startswith("#") else "") + next(short)
        for name in sorted(uses, key=lambda name: (-uses[name], name))
    }
    result = []
    for token, role in zip(tokens, roles, strict=True):
        text = "let" if token.text == "const" and role is Role.OTHER else token.text
        if role in (Role.VARIABLE, Role.PRIVATE):
            text = new.get(text, text)
        elif role is Role.SHORTHAND and text in new:
            text = f"{text}:{new[text]}"
        result.append(token._replace(text=text))
    return result


def _declared(name: str, tokens: Sequence[Token]) -> bool:
    """Whether some `const`, class or function of that name is there, or it is taken out of an object."""
    before = {first.text for first, second in pairwise(tokens) if second.text == name}
    return bool(before & {"const", "let", "class", "function", "{", ","})


def _short_names(taken: set[str]) -> Iterator[str]:
    for length in (1, 2, 3):
        for letters in product(ascii_letters, repeat=length):
            name = "".join(letters)
            if name not in taken and name not in ("do", "as"):
                yield name


def rendered(tokens: Sequence[Token]) -> str:
    """The program with as little white space as is safe; a line end stays where a statement may end by it."""
    parts: list[str] = []
    before = Token("mark", ";", False)
    for token in tokens:
        if token.text == "}" and before.text == ";":
            parts.pop()  # the end of a block ends a statement too; the sources have no empty ones
        if token.new_line and _may_end(before) and _may_begin(token):
            parts.append("\n")
        elif _clash(before, token):
            parts.append(" ")
        parts.append(token.text)
        before = token
    return "".join(parts)


def _may_end(token: Token) -> bool:
    if token.kind == "template":
        return token.text.endswith("`")
    return token.kind != "mark" or token.text in (")", "]", "}")


def _may_begin(token: Token) -> bool:
    if token.kind == "template":
        return token.text.startswith("`")
    return token.kind != "mark" or token.text in ("(", "[", "{", "*", "++", "--", "!", "...")


def _clash(before: Token, token: Token) -> bool:
    words = ("name", "number")
    if before.kind in words and token.kind in words:
        return True
    return before.kind == token.kind == "mark" and before.text[-1] in "+-/" and token.text[0] in "+-/"


def bundle(sources: Sequence[str], before: str = "") -> str:
    """One file of these modules, `before` being code that goes first. Raises `BundleError` for sources that it does not
    understand."""
    tokens, exports = joined([before, *sources])
    text = rendered(shortened(tokens, {"kit", *exports.split(",")}))
    return f"{HEADER}{text}\nexport{{{exports}}};\n"


def built() -> str:
    """`litz.js` as the sources in the package give it."""
    return bundle([_source(name) for name in MODULES])


def built_webrtc() -> str:
    """`litz_webrtc.js` as the sources in the package give it."""
    sources = [_source(name) for name in WEBRTC_MODULES]
    wanted = re.findall(r'^import \{ ([^}]*) \} from "\./(\w+)\.js";$', "".join(sources), flags=re.MULTILINE)
    names = sorted({name for names, module in wanted if module not in WEBRTC_MODULES for name in names.split(", ")})
    text = bundle(sources, f"const {{ {', '.join(names)} }} = kit;\n")
    return text.replace(HEADER, f'{HEADER}import{{kit}}from"./litz.js";')


def _source(name: str) -> str:
    return (HERE / "src" / f"{name}.js").read_text("utf-8")


def main() -> None:
    """The command."""
    for path, text in ((BUNDLE, built()), (WEBRTC_BUNDLE, built_webrtc())):
        if "--check" not in sys.argv[1:]:
            path.write_text(text, "utf-8")
        elif path.read_text("utf-8") != text:
            sys.exit(f"{path.name} is not what its sources give; run: python -m outproc.node.web.bundle")


if __name__ == "__main__":
    main()
