"""A household that nobody lives in: memories and questions made from lists of words, the same ones at every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
import random

from ..wire import Kind, RememberRequest

SEED = 20261009
QUESTIONS = 60
FIVE, PAIR_TOKENS = 5, 128
SPECIAL_TOKENS = 3
"""[CLS] in front, and [SEP] behind either text of a pair: BERT (Devlin et al., 2018), section 3."""
WORDS = {
    "who": ("Ida", "Jonas", "Mara", "Felix", "Greta", "Oskar"),
    "thing": (
        "ladder", "drill", "tent", "atlas", "cello", "kettle", "sledge", "lantern", "suitcase", "bicycle pump",
        "sewing machine", "waffle iron", "telescope", "raincoat", "chess board", "garden hose", "spare key", "toolbox",
        "sleeping bag", "record player",
    ),
    "place": (
        "attic", "cellar", "garage", "pantry", "shed", "hall cupboard", "guest room", "laundry room", "workshop",
        "summer house", "box under the stairs", "drawer of the desk",
    ),
    "visit": (
        "dentist", "eye doctor", "hairdresser", "piano teacher", "chimney sweep", "accountant", "plumber", "vet",
        "physiotherapist", "electrician",
    ),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "food": (
        "walnuts", "strawberries", "lentil soup", "goat cheese", "mushrooms", "rye bread", "plum cake", "fennel",
        "pancakes", "peppermint tea", "smoked trout", "dark chocolate",
    ),
    "machine": (
        "dishwasher", "washing machine", "boiler", "coffee maker", "lawn mower", "printer", "router", "heat pump",
        "vacuum cleaner", "oven",
    ),
    "plant": ("tomatoes", "roses", "basil", "lemon tree", "ferns", "lavender", "orchids", "pear tree"),
    "town": ("Lisbon", "Bergen", "Vienna", "Ghent", "Trieste", "Cork", "Malmo", "Porto", "Basel", "Gdansk"),
}  # fmt: skip
MEMORIES = (
    "{who} put the {thing} into the {place}, behind box {number}.",
    "The {thing} was lent to {who}, who brings it back on {day} the {nth}.",
    "{who} has to be at the {visit} on {day} at {hour} o'clock, and takes bus {number}.",
    "{who} does not like {food}, and since the {nth} not in a {food2} salad either.",
    "For the birthday party on {day} we need {number} plates, {food} and {food2}.",
    "The {machine} shows error {number} when it is started before {hour} o'clock; switching it off for a minute helps.",
    "The {machine} was repaired for {number} euros, and the bill is in the {place}.",
    "{who} waters the {plant} every {day}, and the {plant2} every {number} days.",
    "We spent {number} days in {town} with {who}, and the {food} there was better than at home.",
    "The train to {town} leaves at {hour} o'clock from platform {number}, on a {day} as well.",
    "{who} and {who2} want to build a shelf for the {thing} in the {place} on {day} the {nth}.",
    "Remind {who} that the filter of the {machine} is changed every {number} weeks.",
)
ASKED = (
    "Where did {who} put the {thing}?",
    "Who has our {thing} at the moment?",
    "When does {who} have to be at the {visit}?",
    "What does {who} not like to eat?",
    "What do we need for the birthday party?",
    "What was the matter with the {machine}?",
    "How much did it cost to repair the {machine}, and where is the bill?",
    "How often do the {plant} need water?",
    "When were we in {town}?",
    "What time does the train to {town} leave on a {day}?",
    "What did {who} and {who2} want to build in the {place}?",
    "How often does the filter of the {machine} have to be changed?",
)
FIRST_MOMENT = datetime(2024, 1, 1, 7, 30, tzinfo=UTC)
BETWEEN = timedelta(minutes=61)
"""From one memory to the next; 742 of them are a month."""
TURNS_A_SESSION = 3


def memories(count: int) -> Iterator[RememberRequest]:
    """Make so many statements of 8 to 30 words, each by one of six speakers, three of them to a conversation."""
    chosen = random.Random(SEED)  # noqa: S311 - to choose examples
    for number in range(count):
        yield RememberRequest(
            text=_filled(chosen, MEMORIES[number % len(MEMORIES)]),
            memory_id=f"made-{number}",
            kind=Kind.TURN,
            speaker=chosen.choice(WORDS["who"]),
            session=f"made-{number // TURNS_A_SESSION}",
            created_at=(FIRST_MOMENT + number * BETWEEN).isoformat(),
            source="benchmark",
        )


def questions() -> list[str]:
    """Make 60 questions of 6 to 15 words."""
    chosen = random.Random(SEED + 1)  # noqa: S311 - to choose examples
    return [_filled(chosen, ASKED[number % len(ASKED)]) for number in range(QUESTIONS)]


def _filled(chosen: random.Random, pattern: str) -> str:
    one = {name: chosen.choice(words) for name, words in WORDS.items()}
    another = {f"{name}2": chosen.choice(words) for name, words in WORDS.items()}
    numbers = {
        "number": str(chosen.randint(2, 98)),
        "nth": f"{chosen.randint(4, 20)}th",
        "hour": str(chosen.randint(7, 19)),
    }
    return pattern.format(**one, **another, **numbers)


def five(count_tokens: Callable[[str], int]) -> Sequence[str]:
    """Return five texts that fill a pair of 128 tokens with the longest of the questions."""
    left = PAIR_TOKENS - SPECIAL_TOKENS - max(count_tokens(question) for question in questions())
    words = " ".join(memory.text for memory in memories(10 * FIVE)).split()
    texts, start = [], 0
    for _ in range(FIVE):
        end = start + 1
        while count_tokens(" ".join(words[start : end + 1])) <= left:
            end += 1
        texts.append(" ".join(words[start:end]))
        start = end
    return texts
