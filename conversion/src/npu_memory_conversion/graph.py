"""Builds an ONNX graph node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

FUSED = "com.microsoft"
"""The domain of onnxruntime's own operators, several steps in one."""
OPSET = 17
FUSED_OPSET = 1
IR_VERSION = 8
"""As old as the operators allow, so that older runtimes read the file."""


class Graph:
    """Nodes and constants in the order in which they were added; a value is known by its name."""

    def __init__(self) -> None:
        """Begin an empty graph."""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add a constant, once, and return its name."""
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output, and return the output's name."""
        self.nodes(operator, inputs, [output], domain=domain, **attributes)
        return output

    def nodes(
        self, operator: str, inputs: list[str], outputs: list[str], *, domain: str = "", **attributes: Any
    ) -> None:
        """Add an operator with several outputs."""
        name = f"{outputs[0]}/{operator}"
        self._nodes.append(helper.make_node(operator, inputs, outputs, name, domain=domain, **attributes))

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        *,
        fused: bool = True,
    ) -> onnx.ModelProto:
        """Return the checked model; with `fused` it may have onnxruntime's own operators."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET)]
        if fused:
            opsets.append(helper.make_opsetid(FUSED, FUSED_OPSET))
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="npu-memory-conversion"
        )
        onnx.checker.check_model(model)
        return model


def floats(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """Describe a float32 input or output; a dimension with a name may have any size."""
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def integers(name: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """Describe an int64 input or output; a dimension with a name may have any size."""
    return helper.make_tensor_value_info(name, onnx.TensorProto.INT64, shape)
