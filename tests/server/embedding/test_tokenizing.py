"""Text becomes tokens without padding; long text becomes windows that leave nothing out."""

from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest
from tokenizers import Tokenizer

from npu_memory_server.embedding import tokenizing
from npu_memory_server.embedding.tokenizing import TextTokenizer, window_bounds
from npu_memory_server.errors import ModelError


@pytest.fixture(scope="module")
def tokenizer(package: Path) -> TextTokenizer:
    return TextTokenizer(package / "tokenizer.json", max_length=256)


def whole(package: Path) -> Tokenizer:
    """Return the tokenizer itself, which keeps nothing of what it has read."""
    tokenizer = Tokenizer.from_file(str(package / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def test_a_short_text_is_as_long_as_its_words_and_two_special_tokens(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("Where are the keys?")
    (window,) = tokenizer.windows(ids)
    assert window.dtype == np.int64
    assert window.tolist() == [101, *ids, 102]
    assert len(ids) == 5


def test_a_text_beyond_the_length_in_the_tokenizers_own_settings_is_not_cut(tokenizer: TextTokenizer) -> None:
    assert len(tokenizer.encode("word " * 900)) == 900


def test_nothing_to_read_gives_no_tokens(tokenizer: TextTokenizer) -> None:
    for text in ("", "   ", "\n\t", "\x00\x01", "\N{ZERO WIDTH SPACE}"):
        assert tokenizer.encode(text) == []


WORDS = st.sampled_from(
    ["where", "Where", "keys", "flowerpot", "it's", "'", "odille", "E14", "x" * 101, "?!", "-", " ", "  "]
)


@given(st.lists(st.lists(WORDS | st.text(max_size=5), max_size=8).map(" ".join) | st.text(max_size=12), max_size=4))
@settings(max_examples=200)
def test_a_text_of_words_that_were_read_before_has_the_tokens_that_it_would_have_if_they_were_new(
    package: Path, tokenizer: TextTokenizer, texts: list[str]
) -> None:
    anew = whole(package)
    for text in [*texts, *texts, "".join(texts), " ".join(texts)]:
        encoding = anew.encode(text, add_special_tokens=False)
        assert tokenizer.encode(text) == encoding.ids
        assert tokenizer.encode_with_starts(text) == (encoding.ids, [start for start, _ in encoding.offsets])


def test_more_words_than_are_kept_are_read_all_the_same(
    package: Path, tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizing, "MAX_KEPT_WORDS", 3)
    anew = whole(package)
    for text in ("where are the keys", "the keys are where", "where", "behind the blue flowerpot, Finn?", "the keys"):
        assert tokenizer.encode(text) == anew.encode(text, add_special_tokens=False).ids


def test_half_of_a_surrogate_pair_is_refused_as_a_text(tokenizer: TextTokenizer) -> None:
    with pytest.raises(ValueError, match="Unicode"):
        tokenizer.encode("keys \ud83d")


@given(st.integers(1, 5000), st.integers(8, 300), st.data())
def test_windows_cover_every_token_and_share_what_was_asked_for(length: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    bounds = window_bounds(length, window, overlap)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == length
    for (_, end), (start, _) in pairwise(bounds):
        assert end - start >= overlap
    assert all(end - start == min(length, window) for start, end in bounds)
    assert [start for start, _ in bounds] == sorted({start for start, _ in bounds})


@given(st.integers(257, 5000))
def test_no_window_more_than_needed(length: int) -> None:
    count = len(window_bounds(length, 254, 64))
    assert (count - 1) * (254 - 64) + 64 < length <= count * (254 - 64) + 64


def test_every_window_fits_the_model_and_bears_both_special_tokens(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("the heating engineer comes on Wednesday " * 200)
    windows = tokenizer.windows(ids)
    assert len(windows) > 1
    for window in windows:
        assert len(window) == 256
        assert (window[0], window[-1]) == (101, 102)


@pytest.mark.parametrize("content", ["", "{}", "no json", '{"version": "1.0"}'])
def test_a_file_that_is_no_tokenizer_says_to_convert_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="convert the model again"):
        TextTokenizer(path, max_length=256)


def test_a_tokenizer_of_another_kind_of_model_is_recognized(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    path = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"word": 0, "[UNK]": 1}, unk_token="[UNK]")).save(str(path))
    with pytest.raises(ModelError, match="another kind of model"):
        TextTokenizer(path, max_length=256)
