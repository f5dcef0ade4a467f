"""What each sign of a correction is worth, in log-odds.

Chosen by hand on the sample household and on the one of benchmarks/quality that is for choosing; docs/decisions/0005
has what came of it.
"""

from __future__ import annotations

MIN_COSINE = 0.28
"""Two statements further apart than this are about different things, whatever words they share."""

NEAR = 0.6
"""From here on a name is enough of a subject for a statement that names the value which is not so any more."""
FOREIGN_COSINE = 0.6
"""What two statements in different languages that share a word are taken to have: the model may know only one."""

BIAS = -5.2
COSINE = 5.0
"""For each 1.0 of cosine above `MIN_COSINE`."""
SHARED_SUBJECT = 1.2
"""For each rare term that both are about, up to `FULL_SUBJECT`."""
FULL_SUBJECT = 2.0
NO_SUBJECT = -2.5
NAME = 0.3
"""What a name counts, where a noun counts 1: who speaks or is mentioned is seldom what it is about."""
SAME_TOPIC = 1.0
"""Both begin with the same thing."""
CUE = 2.2
SECOND_CUE = 0.7
HINT_CUE = 0.5
DENIED_VALUE = 2.0
"""The new statement says that the old one's value is not so: "not thursday"."""
DENIED_TERM = 1.4
OTHER_VALUE = 1.3
"""A value of a kind that the old statement has, and another than that."""
SECOND_OTHER_VALUE = 0.6
SAME_FRAME = 2.0
"""Without any cue: nothing but the value differs."""
SAME_THING = 1.5
"""Without any cue: where the same thing is differs."""
ALSO_THAT_THING = 0.75
"""The same, but the new statement has more things than that."""
CALLED_OTHERWISE = 0.0
"""Without any cue: what the same thing is, or is called, differs. It may be both."""
OTHER_FRAME = -2.5
"""Without any cue: something else differs as well, so that it is probably another thing."""
OTHER_OWNER = -8.0
"""Whatever else agrees: what somebody says of theirs corrects nothing of another's."""
OTHER_TOPIC = -3.2
"""Each begins with something that the other does not mention: "the guest room has", "the kids room has"."""
OTHER_OF_A_KIND = -4.0
"""Each begins with another one of two that are told apart: "the left bay", "the right bay"."""
MORE_OWNERS = -1.2
DIARY = -3.0
"""Both say what happened on a day, or are readings: a series, not a correction."""
OVER = -3.0
"""The day that the old statement is about has passed: the new one is about the next occasion."""
OVER_AND_NO_CUE = -6.0
"""The same, and nothing says that anything has changed."""
HAPPENED = -1.0
"""The old statement alone is one of a diary."""
NEXT_YEAR = -2.0
"""Nothing says that it has changed, and it is another year."""
NEXT_OCCASION = -5.0
"""The new statement is about "this year", and it is another year."""
SAME_SESSION = -0.8
PLAN = -5.0
"""The new statement only considers it."""
OTHER_ATTRIBUTE = -2.0
"""Both say values, and none of one kind: the rent, and the day on which it is due."""
FRAGMENT = -2.0
"""The old statement is the answer to a question: what it is about was said before it."""
SAME_PLACE = -2.0
"""Both say the same of where it is."""
PARTIAL = -3.0
"""The old statement says something else first, which still holds."""

MIN_SUSPECTED_COSINE = 0.38
"""Here the weights of a suspicion (`suspecting`) begin. They are rounded from a logistic regression on pairs of five
households, of two of them the development halves; docs/decisions/0005 has what came of it."""
SUSPICION_BIAS = -4.1
SUSPICION_COSINE = 2.4
SUSPICION_CUE = 1.9
SUSPICION_DENIAL = 1.9
SUSPICION_SUBJECT = 1.45
"""For each 1.0 of log-odds that both are about the same."""
SUSPICION_OTHER_VALUE = 0.7
SUSPICION_OTHER_PHRASE = 0.6
SUSPICION_EVENT = -1.4
"""For each of the two that says what happened on a day."""
SUSPICION_LONG = -0.9
"""The old statement says several things."""
SUSPICION_NEW_VALUE = -1.4
"""The new statement says a number, and the old one has none."""
