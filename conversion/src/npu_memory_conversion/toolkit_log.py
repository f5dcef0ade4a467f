"""Reads what the toolkit prints: which warnings mean something, and how many cycles it expects of each layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import re

HARMLESS = (
    (r"Unkown op target: 0", "said once for each input: inputs are placed neither on the NPU nor on the CPU"),
    (r"config\.(mean|std)_values is None", "the inputs are no images: there is nothing to subtract or to divide by"),
    (r"'data_format' is not set", "the order of an image's axes; the inputs have none"),
    (r"default (in|out)put dtype of '.*' is changed", "what the model stores; the runtime converts at the border"),
    (r"Please take care of this change", "what the model stores; the runtime converts at the border"),
    (r"need parameter qtype, type is set to float16", "attention is computed in FP16, as it should be"),
    (r"is already in IndependentMap", "a constant that two layers share"),
    (r"(Set|Restore) temperate env", "the compiler's own bookkeeping"),
    (r"pkg_resources is deprecated", "a hint for the toolkit's authors"),
)
"""Warnings and errors of rknn-toolkit2 2.5.0 that come with every good model, and what they mean."""

_MARK = re.compile(r"^(?:\x1b\[[0-9;]*m)*([WE])(?:\x1b\[[0-9;]*m)* (.*)")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_STAMP = re.compile(r"RKNN: \[[0-9:.]+\] ?")
_LAYER = re.compile(
    r"\d+ +(?P<operator>\w+) +(?P<type>\w+) +(?P<target>CPU|NPU) "
    r".*? \d+/\d+/(?P<total>\d+) +(?P<kilobytes>\d+) "
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A line of the compiler's table. total_cycles: the larger of the memory's and the NPU's, 0 where it is not known.

    kilobytes: what the layer reads and writes.
    """

    operator: str
    data_type: str
    target: str
    total_cycles: int
    kilobytes: int


def read_layers(log: str) -> list[Layer]:
    """Return the lines of the "Network Layer Information Table"; empty if the log has none."""
    layers: list[Layer] = []
    for line in log.partition("Network Layer Information Table")[2].splitlines():
        if "Memory Information" in line or (layers and _STAMP.sub("", line).startswith("D ---")):
            break
        if found := _LAYER.search(_STAMP.sub("", line)):
            layers.append(
                Layer(
                    operator=found["operator"],
                    data_type=found["type"],
                    target=found["target"],
                    total_cycles=int(found["total"]),
                    kilobytes=int(found["kilobytes"]),
                )
            )
    return layers


def split_warnings(log: str) -> tuple[dict[str, int], list[str]]:
    """Return how often each harmless warning came, by what it means, and the others, each once and in order."""
    harmless: dict[str, int] = {}
    others: dict[str, None] = {}
    for line in _messages(log):
        for pattern, meaning in HARMLESS:
            if re.search(pattern, line):
                harmless[meaning] = harmless.get(meaning, 0) + 1
                break
        else:
            others[line] = None
    return harmless, list(others)


def _messages(log: str) -> Iterable[str]:
    for line in log.replace("\r", "\n").splitlines():
        if found := _MARK.match(line):
            yield _STAMP.sub("", _COLOR.sub("", found[2])).strip()
