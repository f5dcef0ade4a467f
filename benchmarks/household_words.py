# ruff: noqa: SIM905, E501 - lists of words are read more easily so
"""Sentences as a household says them, made from lists of words: the same ones for the same seed."""

from __future__ import annotations

import random

PEOPLE = (
    "Nora Teo Maya Finn Ilse Lina Greta Uwe Priya Pete Sam Alma Jonas Ruth Omar Ines Hugo Vera Nils Edda Marco Tilda Ada "
    "Bruno Clara Dario Elif Farid Gus Hanna Ivo Jana Kofi Lena Milo Nadia Otto Pia Rosa Sven Tara Udo Viola Walt Yara Zoe"
).split()
SPEAKERS = ("Nora", "Teo", "Maya", "Finn", "Ilse")
THINGS = (
    "dishwasher|boiler|washing machine|dryer|car|van|bike|lawn mower|ladder|drill|router|printer|tablet|thermostat|doorbell|"
    "smoke alarm|heat pump|water filter|kettle|toaster|oven|freezer|vacuum|robot|sofa|lamp|mattress|tent|sled|kayak|telescope|"
    "piano|guitar|violin|recorder|camera|projector|speaker|radio|fan|humidifier|greenhouse|compost bin|rain barrel|pump|hose|"
    "chainsaw|snow shovel|wheelbarrow|bread maker|coffee grinder|espresso machine|sewing machine|iron|crib|stroller|car seat|"
    "aquarium|hamster cage|bird feeder|chicken coop|trampoline|sandbox|swing|gate|fence|roof|gutter|chimney|skylight|attic fan"
).split("|")
ROOMS = (
    "kitchen|bathroom|hallway|cellar|attic|garage|garden shed|laundry room|living room|study|nursery|guest room|porch|mudroom|"
    "pantry|balcony|workshop|stairwell|dining room|boiler room"
).split("|")
PLACES = (
    "library|dentist|town hall|farmers market|swimming pool|music school|bakery|pharmacy|vet|garage on Mill Road|soccer field|"
    "train station|post office|hardware store|clinic|museum|climbing gym|church hall|recycling yard|butcher|book shop|theater|"
    "airport|harbor|campground|grandmother's house|school|kindergarten|office downtown|bank"
).split("|")
FOODS = (
    "lentil soup|lasagna|pancakes|rye bread|plum cake|goulash|risotto|tomato salad|chicken curry|fish sticks|apple pie|oatmeal|"
    "dumplings|potato gratin|spinach quiche|noodles|sushi|tacos|chili|pea soup|carrot cake|waffles|pizza|ratatouille|omelet|"
    "granola|hummus|falafel|meatballs|cheesecake|rhubarb crumble|minestrone|kimchi|sauerkraut|pesto|polenta"
).split("|")
ANIMALS = "cat dog hamster rabbit parrot tortoise goldfish hen pony guinea pig".split()
AILMENTS = (
    "peanut allergy|hay fever|migraine|sprained ankle|sore throat|ear infection|lactose intolerance|asthma|back pain|rash|"
    "broken tooth|high blood pressure|bee sting allergy|flu|cough|fever"
).split("|")
HOBBIES = (
    "chess|pottery|judo|swimming|choir|ballet|astronomy|knitting|woodworking|archery|skating|painting|fencing|gardening|"
    "bird watching|baking|sailing|robotics|yoga|photography|tennis|drama club|scouts|beekeeping"
).split("|")
COLORS = "red blue green yellow white black gray orange purple brown turquoise silver".split()
MONTHS = ("January February March April May June July August September October November December").split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MAKERS = (
    "Halden Brexo Norvik Castell Umbra Tolmar Vesta Kestrel Ferro Lumen Arden Solvig Pakka Quill Rondo Sorrel Tarn Wick"
).split()
STATEMENTS = (
    "the {thing} in the {room} is a {maker}, model {code}",
    "the warranty of the {thing} runs until {month} {day}",
    "{person} put the spare key for the {thing} in the {room}",
    "the filter of the {thing} has to be changed every {number} weeks",
    "{person} has {hobby} on {weekday} at {time}, at the {place}",
    "{person} has an appointment at the {place} on {month} {day} at {time}",
    "{person} cannot eat {food} because of the {ailment}",
    "{person} likes {food} best, but without the {color} peppers",
    "we paid {money} dollars for the new {thing}",
    "the plumber for the {room} is called {person}, and comes on {weekday}",
    "the {color} box with the {thing} manual is in the {room}",
    "{person} borrowed our {thing} and brings it back on {weekday}",
    "the {animal} gets its medicine at {time}, the vet said for {number} days",
    "{person}'s birthday is {month} {day}, and the cake should be {food}",
    "the {thing} makes a noise again, {person} wants to look at it on {weekday}",
    "bin day moved from {weekday} to {weekday2}",
    "{person} wears shoe size {number} and wants a {color} jacket",
    "the code on the {thing} display was {code} this morning",
    "we painted the {room} {color}, the paint is called {maker} {number}",
    "{person} is allergic: {ailment}, the pills are in the {room}",
    "the train to the {place} leaves at {time} from platform {number}",
    "for {food} {person} takes {number} cups of flour and bakes it until {time}",
    "{person} will water the plants in the {room} while we are at the {place}",
    "the {thing} was repaired by {maker} and company for {money} dollars",
    "turn the {thing} in the {room} off when {person} goes to bed at {time}",
    "{person} lent {person2} the {color} {thing}",
    "the meter in the {room} read {code} on {month} {day}",
    "{person} got a new phone number, it ends in {number}",
    "the {place} is closed on {weekday} in {month}",
    "the insurance number of the {thing} is {code}",
    "{person} is reading about {hobby} and wants a {thing} for it",
    "we meet {person} at the {place} at {time} on {weekday}",
    "the {animal} hides behind the {thing} in the {room} when {person} visits",
    "the {thing} needs {number} new batteries, {person} buys them at the {place}",
    "{person}'s class goes to the {place} in {month}",
    "the tulips by the {room} window are {color} this year",
)
QUESTIONS = (
    "which model is the {thing} in the {room}",
    "until when is the {thing} under warranty",
    "what can {person} not eat",
    "where is the key for the {thing}",
    "when does {person} have {hobby}",
    "how often does the {thing} filter need changing",
    "when is {person} at the {place}",
    "who borrowed our {thing}",
    "what did we pay for the {thing}",
    "when does the {animal} get its medicine",
    "when is {person}'s birthday",
    "what does {person} like to eat",
    "who comes to repair the {room}",
    "what color is the {room}",
    "when is the {place} closed",
    "where does {person} keep the {color} box",
    "what was the code on the {thing}",
    "how do we make {food}",
    "who waters the plants in the {room}",
    "what is wrong with the {thing}",
    "is somebody allergic because of {ailment}",
    "what did {person} say about {hobby}",
    "when do we meet {person} at the {place}",
    "where does the {animal} hide",
)


def statement(chance: random.Random) -> str:
    """Return something that somebody might say."""
    return _filled(chance.choice(STATEMENTS), chance)


def question(chance: random.Random) -> str:
    """Return something that somebody might ask about such statements."""
    return _filled(chance.choice(QUESTIONS), chance)


def _filled(template: str, chance: random.Random) -> str:
    return template.format(
        thing=_common(THINGS, chance),
        room=_common(ROOMS, chance),
        place=_common(PLACES, chance),
        food=_common(FOODS, chance),
        animal=_common(ANIMALS, chance),
        ailment=_common(AILMENTS, chance),
        hobby=_common(HOBBIES, chance),
        person=_common(PEOPLE, chance),
        person2=_common(PEOPLE, chance),
        color=_common(COLORS, chance),
        month=chance.choice(MONTHS),
        weekday=chance.choice(DAYS),
        weekday2=chance.choice(DAYS),
        maker=chance.choice(MAKERS),
        day=chance.randint(1, 28),
        number=chance.randint(2, 48),
        money=chance.randint(9, 1900),
        time=f"{chance.randint(1, 12)}:{chance.choice(('00', '15', '30', '40', '45'))}",
        code=f"{chance.choice('ABCEFHKNRTWX')}{chance.randint(10, 99999)}",
    )


def _common(words: tuple[str, ...] | list[str], chance: random.Random) -> str:
    """Pick a word: some are said far more often than others, as in speech."""
    return words[min(int(chance.paretovariate(0.6)) - 1, 10**6) % len(words)]
