"""English."""

from datetime import datetime

from ..dates import Nearness, nearness
from ..language import Command, Language, Say

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

SENTENCES = {
    Command.REMEMBER_PRIVATELY: (
        "[please] remember [just|only] for me that {text}",
        "[please] remember privately that {text}",
    ),
    Command.REMEMBER: (
        "[please] (remember|memorize|note|keep in mind) [please] that {text}",
        "(can|could|will|would) you [please] (remember|memorize|note|keep in mind) that {text}",
        "[please] (make|take) a note that {text}",
        "[please] (don't|do not) forget that {text}",
        "i want you to remember that {text}",
    ),
    Command.ABOUT: (
        "(what|anything|something) do you (know|remember) about {text}",
        "do you (know|remember) (anything|something) about {text}",
        "what (did|have) (i|we) (tell|told) you about {text}",
        "tell me what you (know|remember) about {text}",
    ),
    Command.WHEN: ("when (did|have) (i|we) [last] {text}", "when was the last time [that] (i|we) {text}"),
    Command.FORGET_LAST: (
        "[please] forget (the|that) last thing [that i said|i said|that i told you|i told you]",
        "[please] forget what i [just] (said|told you)",
        "[please] forget that [again]",
        "[please] forget the last memory",
    ),
    Command.FORGET: (
        "[please] forget (that|about) {text}",
        "[please] forget (what|everything) (i|we) (said|told you) about {text}",
        "[please] forget what you (know|remember) about {text}",
        "[please] (delete|remove|erase) the memory (that|about|of) {text}",
    ),
    Command.CORRECT: (
        "no (it|that|he|she|this) (is|was) {text}",
        "no (it's|that's|he's|she's) {text}",
        "no (they|these) (are|were) {text}",
        "[no] (that is|that's|that was) (wrong|not right|incorrect) it (is|was) {text}",
    ),
    Command.WHY: (
        "why do you (think|believe|say) (that|so)",
        "(how|where) do you know that [from]",
        "who (told you|said) (that|so)",
        "where did you (get|hear) that [from]",
    ),
    Command.CONFIRM: ("yes [please] forget (it|that)",),
    Command.YES: (
        "(yes|yeah|yep|sure|okay|ok|right|correct|exactly) [please]",
        "[yes] [please] do [it|that|so]",
        "[yes] go ahead",
    ),
    Command.NO: (
        "(no|nope|never) [thanks|thank you|don't]",
        "[no] (don't|do not) [forget] [it|that|do it|do that]",
        "[no] keep it",
        "cancel",
    ),
}

ANSWERS = {
    Say.REMEMBERED: "Remembered: {text}",
    Say.REMEMBERED_PRIVATELY: "Remembered, for you alone: {text}",
    Say.WHO_ARE_YOU: "I do not know who is speaking, so I cannot keep this for you alone. I have not remembered it.",
    Say.NOT_REMEMBERED: "I could not remember that: my memory did not confirm it. Please tell me again later.",
    Say.NOT_REACHED: "I cannot look into my memory right now.",
    Say.NOTHING_FOUND: "I have found nothing about that in my memory.",
    Say.NOTHING_TO_FORGET: "I have found nothing like that in my memory, so nothing was forgotten.",
    Say.NOTHING_LAST: "There is nothing of yours that I could forget.",
    Say.NOTHING_ASKED: "There is nothing that I have asked you about. Nothing was forgotten.",
    Say.SHALL_I_FORGET: "{quotation} Shall I forget that?",
    Say.HOW_TO_CONFIRM: "Then say: yes, forget it.",
    Say.FORGOTTEN: "It is forgotten.",
    Say.NOT_FORGOTTEN: "I could not forget it: my memory did not confirm it. Please tell me again later.",
    Say.GONE_ALREADY: "That was gone already.",
    Say.KEPT: "All right, I keep it.",
    Say.CORRECTED: "Corrected: {text}",
    Say.CORRECTED_ALREADY: "That was corrected already. Nothing was changed.",
    Say.CORRECTION: "{said} (instead of: {old})",
    Say.BECAUSE: "Because of this: {quotation}",
    Say.NO_REASON: "My last answer came without my memory.",
    Say.SAID: "{when}, {speaker} said: {text}",
    Say.SAID_IN: "{when}, {speaker} said ({area}): {text}",
    Say.ANSWERED: "{when}, I answered: {text}",
    Say.NOTED: "{when}, I noted: {text}",
}


def when(moment: datetime, now: datetime) -> str:
    """Return for instance `on March 3` or `today at 6:30 pm`."""
    match nearness(moment, now):
        case Nearness.TODAY:
            return f"today at {_time(moment)}"
        case Nearness.YESTERDAY:
            return f"yesterday at {_time(moment)}"
        case Nearness.THIS_WEEK:
            return f"on {DAYS[moment.weekday()]}"
        case Nearness.THIS_YEAR:
            return f"on {MONTHS[moment.month - 1]} {moment.day}"
    return f"on {MONTHS[moment.month - 1]} {moment.day}, {moment.year}"


def _time(moment: datetime) -> str:
    minutes = f":{moment.minute:02}" if moment.minute else ""
    return f"{(moment.hour - 1) % 12 + 1}{minutes} {'am' if moment.hour < 12 else 'pm'}"


ENGLISH = Language(code="en", sentences=SENTENCES, answers=ANSWERS, when=when)
