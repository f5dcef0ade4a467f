"""The words for time in the languages of the voice assistant, folded: without case and diacritics."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

Value = TypeVar("Value")


class Unit(Enum):
    """What time is counted in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def _by_word(lines: dict[str, Value]) -> dict[str, Value]:
    return {word: value for words, value in lines.items() for word in words.split()}


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


DAYS_BACK = _by_word(
    {
        "today tonight heute aujourd hoy vandaag": 0,
        "yesterday gestern hier ayer gisteren": 1,
        "vorgestern anteayer eergisteren": 2,
    }
)
UNITS = _by_word(
    {
        "day days tag tage tagen jour jours dia dias dag dagen": Unit.DAY,
        "week weeks woche wochen semaine semaines semana semanas weken": Unit.WEEK,
        "month months monat monate monaten mois mes meses maand maanden": Unit.MONTH,
        "year years jahr jahre jahren an ans annee annees ano anos jaar jaren": Unit.YEAR,
    }
)
SEASONS = _by_word(
    {
        "spring fruhling fruhjahr printemps primavera lente voorjaar": 3,
        "summer sommer ete verano zomer": 6,
        "fall autumn herbst automne otono herfst najaar": 9,
        "winter hiver invierno": 12,
    }
)
MONTHS = _by_word(
    {
        "january januar janner janvier enero januari": 1,
        "february februar fevrier febrero februari": 2,
        "march marz mars marzo maart": 3,
        "april avril abril": 4,
        "may mai mayo mei": 5,
        "june juni juin junio": 6,
        "july juli juillet julio": 7,
        "august aout agosto augustus": 8,
        "september septembre septiembre": 9,
        "october oktober octobre octubre": 10,
        "november novembre noviembre": 11,
        "december dezember decembre diciembre": 12,
    }
)
WEEKDAYS = _by_word(
    {
        "monday montag lundi lunes maandag": 0,
        "tuesday dienstag mardi martes dinsdag": 1,
        "wednesday mittwoch mercredi miercoles woensdag": 2,
        "thursday donnerstag jeudi jueves donderdag": 3,
        "friday freitag vendredi viernes vrijdag": 4,
        "saturday samstag sonnabend samedi sabado zaterdag": 5,
        "sunday sonntag dimanche domingo zondag": 6,
    }
)
NUMBERS = _by_word(
    {
        "a an one ein einem einer einen un une una uno een": 1,
        "two couple zwei deux dos twee": 2,
        "three few drei trois tres drie": 3,
        "four vier quatre cuatro": 4,
        "five funf cinq cinco vijf": 5,
        "six sechs seis zes": 6,
        "seven sieben sept siete zeven": 7,
        "eight acht huit ocho": 8,
        "nine neun neuf nueve negen": 9,
        "ten zehn dix diez tien": 10,
        "eleven elf onze once": 11,
        "twelve zwolf douze doce twaalf": 12,
    }
)
LAST = _words(
    "last previous past letzte letzten letzter letztes letztem vorige vorigen voriger voriges vergangene vergangenen",
    "dernier derniere passe passee pasada pasado afgelopen",
)
THIS = _words("this diese diesen dieser dieses diesem ce cette cet esta este deze dit")
ON = _words("on am le el op")
BEFORE_A_MONTH = _words("in on since of last this during early late im seit en depuis desde de sinds vom am le el op")
AGO_AFTER = (["ago"], ["geleden"])
AGO_BEFORE = (("vor",), ("il", "y", "a"), ("hace",))
ASKS_BACK = _words(
    "before originally previously previous formerly former earlier used did",
    "fruher vorher davor ursprunglich ehemals bisher",
    "avant auparavant anciennement precedent",
    "antes anteriormente anterior",
    "vroeger voorheen eerder",
)
"""Who asks with one of these wants to know how it was."""
