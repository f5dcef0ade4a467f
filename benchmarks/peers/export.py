"""Exports a folder of sentence-transformers to ONNX, as its users do: inputs of any length with a mask, FP32.

python -m benchmarks.peers.export FOLDER    writes FOLDER/onnx/model.onnx
"""

from pathlib import Path
import sys

import torch
from transformers import AutoModel

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"
OPSET = 17


class Hidden(torch.nn.Module):
    """The model with its last hidden state as the one output."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        # The other implementations of attention branch on what a mask holds, which an export cannot follow.
        self.model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> torch.Tensor:
        """Return float32 [batch, length, 384]."""
        answer = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        hidden: torch.Tensor = answer.last_hidden_state
        return hidden


def export(folder: Path) -> None:
    """Write FOLDER/onnx/model.onnx."""
    file = folder / "onnx" / "model.onnx"
    file.parent.mkdir(exist_ok=True)
    some = torch.ones(2, 8, dtype=torch.long)
    torch.onnx.export(
        Hidden(folder),
        (some, some, torch.zeros_like(some)),
        str(file),
        input_names=list(INPUTS),
        output_names=[OUTPUT],
        dynamic_axes={name: {0: "batch", 1: "length"} for name in (*INPUTS, OUTPUT)},
        opset_version=OPSET,
        dynamo=False,
    )


if __name__ == "__main__":
    export(Path(sys.argv[1]))
