"""Estimates the time on the NPU from what the compiler says about each layer. No device was asked.

The compiler's table (rknn-toolkit2 2.5.0, RK3588) gives cycles for convolutions only. From it follow 512 products of
FP16 a cycle and 21.9 bytes of memory a cycle; the NPU runs at 1 GHz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .recipe import ModelRecipe
from .toolkit_log import Layer

CYCLES_PER_MS = 1_000_000
PRODUCTS_PER_CYCLE = 512
BYTES_PER_CYCLE = 21.9
US_PER_OPERATION = (10.0, 27.0)
"""What starting an operation takes: the compiler's own tiling model charges 27 us for a tile (RKNN_TILE_ANALYSIS=1);
10 us is a guess for what the driver of a chained task needs."""
CORES = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated ms for one run on one core; only a board can tell.

    table: the compiler's cycles. traffic: the memory of layers without cycles. attention: its products, which the table
    leaves out. operations: how many the NPU starts; least and most add 10 and 27 us for each. crowded: the most, while
    the other two cores run the same and all three share what one has of the memory.
    """

    table: float
    traffic: float
    attention: float
    operations: int
    least: float
    most: float
    crowded: float


def estimate(layers: Sequence[Layer], recipe: ModelRecipe, length: int) -> Estimate:
    """Add up the layers of a model for texts of `length` tokens."""
    on_npu = [layer for layer in layers if layer.target == "NPU"]
    table = sum(layer.total_cycles for layer in on_npu) / CYCLES_PER_MS
    silent = sum(layer.kilobytes for layer in on_npu if layer.total_cycles == 0)
    traffic = silent * 1024 / BYTES_PER_CYCLE / CYCLES_PER_MS
    products = 2 * length * length * recipe.hidden * recipe.layers
    attention = products / PRODUCTS_PER_CYCLE / CYCLES_PER_MS
    work = table + traffic + attention
    starting, slow_starting = (len(on_npu) * us / 1000 for us in US_PER_OPERATION)
    memory = sum(layer.kilobytes for layer in on_npu) * 1024 / BYTES_PER_CYCLE / CYCLES_PER_MS
    return Estimate(
        table=table,
        traffic=traffic,
        attention=attention,
        operations=len(on_npu),
        least=work + starting,
        most=work + slow_starting,
        crowded=max(work, CORES * memory) + slow_starting,
    )
