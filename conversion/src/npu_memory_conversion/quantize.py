"""The encoder in 8 bits: weights by row and column, activations as they come, and FP32 where 8 bits cannot hold them.

The measurements behind each choice are in docs/decisions/0001-int8-recipe.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import onnx

from npu_memory_server.embedding.pooling import Vector

from .graph import FUSED, Graph
from .recipe import Int8Choices
from .rounding import quantize_columns, quantize_rows
from .weights import Linear

Indices = npt.NDArray[np.int64]
NO_ZERO_POINTS = ""
"""An input that is not there: zeros by column say the same, and 4 % of the inference is spent on adding them."""
SMALLEST_RANGE = 0.01
"""A channel that stays below it counts as this wide, so that a silent channel gets no boundless multiplier."""


class Int8Arithmetic:
    """8-bit products.

    One activation step serves all channels of a text, so the few channels that would widen it are kept apart.
    """

    def __init__(self, ranges: Mapping[str, Vector], choices: Int8Choices, *, report: Callable[[], object]) -> None:
        """Take the activation ranges by projection, and what to call after each quantized projection."""
        self._ranges = ranges
        self._choices = choices
        self._report = report

    def lookup(self, graph: Graph, name: str, table: Vector, ids: str) -> str:
        """Look up rows of an 8-bit table, each with its own step."""
        rows, steps = quantize_rows(table)
        found = graph.node("Gather", [graph.constant(f"{name}.table", rows), ids], f"{name}_int8")
        wide = graph.node("Cast", [found], f"{name}_wide", to=onnx.TensorProto.FLOAT)
        scale = graph.node("Gather", [graph.constant(f"{name}.steps", steps), ids], f"{name}_steps")
        return graph.node("Mul", [wide, scale], name)

    def project(self, graph: Graph, name: str, x: str, linear: Linear) -> str:
        """Multiply in 8 bits, the weights by column."""
        weight, steps = quantize_columns(linear.weight)
        self._report()
        constants = [
            graph.constant(f"{name}.weight", weight),
            graph.constant(f"{name}.steps", steps),
            NO_ZERO_POINTS,
            graph.constant(f"{name}.bias", linear.bias),
        ]
        return graph.node("DynamicQuantizeMatMul", [x, *constants], name, domain=FUSED)

    def project_residual(self, graph: Graph, name: str, x: str, linear: Linear) -> str:
        """Even out the channels, multiply all but the widest in 8 bits, and add those in FP32."""
        ranges = self._ranges[name]
        multipliers = smoothing_multipliers(linear.weight, ranges, self._choices.smoothing)
        outliers = np.sort(np.argsort(-ranges, kind="stable")[: self._choices.outliers])
        mask = graph.constant(f"{name}.multipliers", _without(multipliers, outliers, axis=0))
        even = graph.node("Mul", [x, mask], f"{name}_even")
        weight = _without(linear.weight / multipliers[:, np.newaxis], outliers, axis=0)
        product = self.project(graph, f"{name}_int8", even, Linear(weight, linear.bias))
        apart = graph.node("Gather", [x, graph.constant(f"{name}.outliers", outliers)], f"{name}_apart", axis=1)
        weight_apart = graph.constant(f"{name}.weight_apart", linear.weight[outliers])
        return graph.node("Gemm", [apart, weight_apart, product], name)

    def feed_forward(self, graph: Graph, name: str, x: str, into: Linear, out: Linear) -> tuple[str, str]:
        """Multiply twice in 8 bits; hidden channels that get too large take an FP32 path of their own, into the sum."""
        wide: Indices = np.flatnonzero(self._ranges[f"{name}_out"] > self._choices.hidden_limit)
        skip = x
        if len(wide):
            weight = graph.constant(f"{name}_wide.weight_in", into.weight[:, wide])
            bias = graph.constant(f"{name}_wide.bias", into.bias[wide])
            hidden = graph.node("Gemm", [x, weight, bias], f"{name}_wide_in")
            active = graph.node("Gelu", [hidden], f"{name}_wide_active", domain=FUSED)
            weight = graph.constant(f"{name}_wide.weight_out", out.weight[wide])
            skip = graph.node("Gemm", [active, weight, x], f"{name}_wide_out")
            into = Linear(_without(into.weight, wide, axis=1), _without(into.bias, wide, axis=0))
            out = Linear(_without(out.weight, wide, axis=0), out.bias)
        hidden = self.project_residual(graph, f"{name}_in", x, into)
        active = graph.node("Gelu", [hidden], f"{name}_active", domain=FUSED)
        return skip, self.project(graph, f"{name}_out", active, out)


def smoothing_multipliers(weight: Vector, ranges: Vector, strength: float) -> Vector:
    """Multipliers for the channels in front of a projection, float32 [inputs]; the weight is divided by them.

    SmoothQuant (Xiao et al., 2022), equation 4, rounded to powers of two: they multiply exactly, and the last digits in
    which the ranges differ between machines do not reach the file.
    """
    widest = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny)
    logarithms = (1 - strength) * np.log2(widest) - strength * np.log2(np.maximum(ranges, SMALLEST_RANGE))
    exponents = np.rint(logarithms - logarithms.mean()).astype(np.int64)
    multipliers: Vector = np.ldexp(np.ones(len(exponents), np.float32), exponents)
    return multipliers


def _without(array: Vector, channels: Indices, *, axis: int) -> Vector:
    """Return a copy with the channels set to zero."""
    copy = array.copy()
    np.moveaxis(copy, axis, 0)[channels] = 0
    return copy
