"""The bundler: what it shortens, what it leaves alone, and that the shipped file is what it makes."""

from __future__ import annotations

import pytest

from outproc.node.web import bundle


def body(*sources: str) -> str:
    return bundle.bundle(sources).removeprefix(bundle.HEADER)


def test_the_shipped_file_is_what_the_sources_give() -> None:
    assert bundle.BUNDLE.read_text("utf-8") == bundle.built(), "run: python -m outproc.node.web.bundle"
    assert bundle.WEBRTC_BUNDLE.read_text("utf-8") == bundle.built_webrtc(), "run: python -m outproc.node.web.bundle"


def test_the_same_sources_give_the_same_bytes() -> None:
    assert bundle.built() == bundle.built()


def test_modules_become_one_and_only_the_last_exports() -> None:
    first = "// a comment\nexport const helper = (value) => value + 1;\n"
    second = 'import { helper } from "./first.js";\nexport const answer = helper(41); /* gone */\n'
    assert body(first, second) == "let a=(b)=>b+1;let answer=a(41);\nexport{answer};\n"


def test_names_of_properties_stay_and_variables_of_that_name_do_not() -> None:
    source = "const size = 1;\nconst other = { size, more: size };\nexport const result = other.size;\n"
    assert body(source) == "let a=1;let b={size:a,more:a};let result=b.size;\nexport{result};\n"


def test_parameters_with_defaults_and_methods() -> None:
    source = """
export class Box {
  async open({ lid = 1, ...rest }, [first] = []) {
    return { lid, rest, take(at) { return at ? first : lid; } };
  }
}
"""
    assert body(source) == (
        "class Box{async open({lid:a=1,...d},[c]=[]){return{lid:a,rest:d,take(b){return b?c:a}}}}\nexport{Box};\n"
    )


def test_what_is_neither_ours_nor_known_of_the_platform_is_refused() -> None:
    with pytest.raises(bundle.BundleError, match="Typo"):
        bundle.bundle(["export const x = new Typo();\n"])


def test_strings_templates_and_regular_expressions_are_left_alone() -> None:
    source = 'export const text = "a  //b" + `c ${1}  d` + /[/ ]  x/.source + 6 / 2 / 1;\n'
    assert body(source) == 'let text="a  //b"+`c ${1}  d`+/[/ ]  x/.source+6/2/1;\nexport{text};\n'


def test_a_line_end_stays_where_a_statement_ends_by_it() -> None:
    source = "let first = 1\nlet second = 2\nexport const sum = first + +second - -first\n"
    assert body(source) == "let a=1\nlet b=2\nlet sum=a+ +b- -a\nexport{sum};\n"


def test_private_names_are_shortened() -> None:
    source = "export class Box {\n  #long = 1;\n  get() {\n    return this.#long;\n  }\n}\n"
    assert body(source) == "class Box{#a=1;get(){return this.#a}}\nexport{Box};\n"


def test_two_modules_with_one_name_are_refused() -> None:
    with pytest.raises(bundle.BundleError, match="same name"):
        bundle.bundle(["const twin = 1;\n", "const twin = 2;\nexport const x = twin;\n"])


@pytest.mark.parametrize("source", ["const x = \x00;", "const x = `${`y`}`;", "const x = /open\n;"])
def test_what_it_does_not_understand_is_refused(source: str) -> None:
    with pytest.raises(bundle.BundleError):
        bundle.bundle([source])
