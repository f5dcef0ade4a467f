"""What the toolkit prints is read: its estimates, and which of its warnings matter."""

import pytest

from npu_memory_conversion.estimate import estimate
from npu_memory_conversion.recipe import ALL_MINILM_L6_V2
from npu_memory_conversion.toolkit_log import Layer, read_layers, split_warnings

TABLE = """\
D RKNN: [10:00:00.100]              Network Layer Information Table
D RKNN: [10:00:00.100] -----------------------------------------------------------------------------------------
D RKNN: [10:00:00.100] ID   OpType         DataType Target InputShape     OutputShape  Cycles(DDR/NPU/Total) RW(KB) FullName
D RKNN: [10:00:00.100] -----------------------------------------------------------------------------------------
D RKNN: [10:00:00.100] 0    InputOperator  FLOAT16  CPU    \\              (1,32,384)   0/0/0                 0      InputOperator:embeddings
D RKNN: [10:00:00.100] 1    Conv           FLOAT16  NPU    (1,384,1,32),(384,384,1,1),(384) (1,384,1,32) 14611/9216/14611 313 Conv:query
D RKNN: [10:00:00.100] 2    exSDPAttention FLOAT16  NPU    (12,32,1,32),... (12,32,1,32) 0/0/0                72     exSDPAttention:mixed
D RKNN: [10:00:00.100] 3    ConvAdd        INT8     NPU    (1,384,1,32)   (1,384,1,32) 7000/8000/8000        160    Conv:fed
D RKNN: [10:00:00.100] -----------------------------------------------------------------------------------------
D RKNN: [10:00:00.200] 9    Conv           FLOAT16  NPU    (1,1)          (1,1)        9/9/9                 9      Conv:of another table
"""  # noqa: E501 - as wide as it is


def test_the_table_of_cycles_is_read_to_its_end() -> None:
    assert read_layers(TABLE) == [
        Layer("InputOperator", "FLOAT16", "CPU", 0, 0),
        Layer("Conv", "FLOAT16", "NPU", 14611, 313),
        Layer("exSDPAttention", "FLOAT16", "NPU", 0, 72),
        Layer("ConvAdd", "INT8", "NPU", 8000, 160),
    ]
    assert read_layers("I rknn building done.") == []


def test_an_estimate_adds_cycles_memory_attention_and_a_cost_for_each_operation() -> None:
    found = estimate(read_layers(TABLE), ALL_MINILM_L6_V2, 32)
    assert found.table == pytest.approx(0.022611)
    assert found.traffic == pytest.approx(72 * 1024 / 21.9 / 1e6)
    assert found.attention == pytest.approx(2 * 32 * 32 * 384 * 6 / 512 / 1e6)
    assert found.operations == 3
    assert found.most - found.least == pytest.approx(3 * 0.017)
    memory = (313 + 72 + 160) * 1024 / 21.9 / 1e6
    assert found.crowded == pytest.approx(3 * memory + 3 * 0.027)


def test_harmless_warnings_are_explained_and_others_kept() -> None:
    log = (
        "E RKNN: [10:00:00.100] Unkown op target: 0\n"
        "\x1b[1;33mW\x1b[0m \x1b[1;33mload_onnx: The config.mean_values is None, zeros will be set!\x1b[0m\n"
        "I rknn building ...\rI rknn building done.\n"
        "\x1b[1;33mW\x1b[0m \x1b[1;33mbuild: found outlier value in tensor layer.3\x1b[0m\n"
        "W RKNN: [10:00:00.300] Something new and alarming\n"
        "W RKNN: [10:00:00.301] Something new and alarming\n"
    )
    harmless, others = split_warnings(log)
    assert sum(harmless.values()) == 2
    assert others == ["build: found outlier value in tensor layer.3", "Something new and alarming"]
