"""What the recognizer made of words it did not know is found by how it sounds."""

from collections import Counter

from hypothesis import given, strategies as st
import pytest

from npu_memory_server.retrieval.analysis import folded_words, terms
from npu_memory_server.retrieval.misheard import Soundalikes

MEMORIES = (
    "Curtis does the driveway when there is more than three inches.",
    "Doctor Sefton says that I need glasses for the board.",
    "The carbon monoxide alarms are in the hall.",
    "Sixty tulips along the front walk, the dark ones are the Queen of Night.",
    "Odile wants the humidity above forty percent.",
)


class Said:
    """Some memories, and what sounds like their words."""

    def __init__(self, *texts: str) -> None:
        """Index the texts."""
        self.count: Counter[str] = Counter()
        self.soundalikes = Soundalikes(self.count.__getitem__)
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Index one more."""
        found = set(terms(text))
        self.count.update(found)
        self.soundalikes.add(found)

    def remove(self, text: str) -> None:
        """Take one out."""
        found = set(terms(text))
        self.count.subtract(found)
        self.soundalikes.remove(found)

    def listened(self, text: str) -> list[str] | None:
        """Return what may have been said, all of it."""
        return self.soundalikes.heard(folded_words(text), terms(text), "en")

    def heard(self, text: str) -> set[str]:
        """Return the terms of the memories that may have been meant and were not said."""
        heard = self.listened(text)
        return set() if heard is None else {term for term in heard if self.count[term]} - set(terms(text))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("how much does cur tiss take for the drive weigh", {"curti", "driveway"}),
        ("where are the car bun monoxide alarms", {"carbon"}),
        ("how high does odille want the humidity", {"odil"}),
        ("how many too lips along the front wok that you planted", {"tulip"}),
    ],
)
def test_words_that_were_split_or_misspelled_are_put_together(text: str, meant: set[str]) -> None:
    assert Said(*MEMORIES).heard(text) == meant


def test_a_question_of_known_words_is_taken_as_it_is() -> None:
    said = Said(*MEMORIES)
    assert said.listened("where are the carbon monoxide alarms") is None


def test_words_that_sound_like_nothing_stay_what_they_are() -> None:
    assert Said(*MEMORIES).heard("what is the population of Reykjavik") == set()


def test_what_was_explained_no_longer_counts_as_said() -> None:
    heard = Said(*MEMORIES).listened("does cur tiss take the driveway")
    assert heard is not None
    assert (set(heard) & {"cur", "tiss"}, {"curti", "driveway"} <= set(heard)) == (set(), True)


def test_what_was_forgotten_is_not_heard_any_more() -> None:
    said = Said(*MEMORIES)
    said.remove(MEMORIES[0])
    assert said.heard("how much does cur tiss take") == set()
    said.add(MEMORIES[0])
    assert said.heard("how much does cur tiss take") == {"curti"}


@given(st.text(max_size=60))
def test_any_text_can_be_listened_to(text: str) -> None:
    said = Said(*MEMORIES)
    said.add(text)
    said.heard(text + " cur tiss")
    said.remove(text)
    assert not said.heard("nothing was left of it") & set(terms(text))
