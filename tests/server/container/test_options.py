"""What the app's user has chosen reaches the server under the names that the rest of the world uses."""

import json
from pathlib import Path

from hypothesis import given, settings, strategies as st
import pytest

from npu_memory_server.cli.arguments import build_parser
from npu_memory_server.container.options import OPTIONS, Choices, read_options
from npu_memory_server.errors import InvalidRequestError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "options.json"


def test_every_option_is_one_that_the_server_knows(file: Path) -> None:
    file.write_text(json.dumps({"rag_strategy": "lexical", "top_k": 7, "rerank_model": "none", "log_level": "debug"}))
    choices = read_options(file)
    parsed = build_parser(choices.environment).parse_args(["serve", *choices.arguments])
    assert (parsed.strategy, parsed.top_k, parsed.reranker, parsed.log_level) == ("lexical", 7, "none", "debug")


def test_every_variable_is_named_in_the_commands_help() -> None:
    epilog = build_parser({}).epilog or ""
    assert [target for target in OPTIONS.values() if not target.startswith("--") and target not in epilog] == []


@pytest.mark.parametrize(("chosen", "expected"), [(True, True), (False, False)])
def test_a_switch_is_a_flag_or_none(chosen: bool, expected: bool, file: Path) -> None:
    file.write_text(json.dumps({"handle_transcripts": chosen}))
    choices = read_options(file)
    assert build_parser({}).parse_args(["serve", *choices.arguments]).handle_transcripts is expected


def test_the_npus_options_have_the_names_that_its_users_know(file: Path) -> None:
    chosen = {
        "npu_embedder_enabled": "1",
        "npu_fallback_cpu": False,
        "npu_core_mask": "7",
        "rknn_embedder_path": "/share/npu",
    }
    file.write_text(json.dumps(chosen))
    assert read_options(file).environment == {
        "NPU_EMBEDDER_ENABLED": "1",
        "NPU_FALLBACK_CPU": "0",
        "NPU_CORE_MASK": "7",
        "RKNN_EMBEDDER_PATH": "/share/npu",
    }
    build_parser(read_options(file).environment).parse_args(["serve"])


def test_without_a_file_everything_is_as_the_server_has_it(file: Path) -> None:
    assert read_options(file) == Choices({})


def test_what_is_left_empty_is_as_the_server_has_it(file: Path) -> None:
    file.write_text(json.dumps({"rag_strategy": "", "top_k": None}))
    assert read_options(file) == Choices({})


def test_an_option_of_another_version_is_named_and_skipped(file: Path) -> None:
    file.write_text(json.dumps({"top_k": 3, "moon_phase": "full"}))
    assert read_options(file) == Choices({"TOP_K": "3"}, (), ("moon_phase",))


@pytest.mark.parametrize("content", ["", "[]", "{", '"text"', "{" + " " * 70_000 + "}"])
def test_a_damaged_file_is_told_of(content: str, file: Path) -> None:
    file.write_text(content)
    with pytest.raises(InvalidRequestError, match="save the app's configuration again"):
        read_options(file)


def test_an_option_of_the_wrong_kind_is_named(file: Path) -> None:
    file.write_text(json.dumps({"top_k": [1]}))
    with pytest.raises(InvalidRequestError, match="top_k"):
        read_options(file)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)) | st.text(max_size=8), JSON, max_size=6))
def test_whatever_is_in_the_file_nothing_but_words_comes_out(
    tmp_path_factory: pytest.TempPathFactory, options: dict[str, object]
) -> None:
    file = tmp_path_factory.mktemp("options") / "options.json"
    file.write_text(json.dumps(options))
    try:
        choices = read_options(file)
    except InvalidRequestError:
        return
    words = [*choices.environment.values(), *choices.arguments]
    assert all(word and word.isprintable() for word in words)
    assert set(choices.environment) <= set(OPTIONS.values())
