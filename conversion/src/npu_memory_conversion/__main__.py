"""The command `npu-memory-convert`."""

from __future__ import annotations

import argparse
from pathlib import Path
import signal
import sys

from npu_memory_server.embedding.manifest import NpuPrecision
from npu_memory_server.errors import ModelError

from . import __version__
from .convert import Converted, convert
from .errors import ConversionError
from .local import find_recipe
from .recipe import MODELS, Target
from .report import MARKDOWN_NAME, ModelReport
from .simulate import TARGET, NpuOptions

DESCRIPTION = """\
Convert a model into the package that the NPU Memory server runs.

MODEL is one of those below, whose original is fetched by pip, from whatever index pip is set up to use, or taken
from a folder (--source); or it is a folder: any BERT-like embedder or cross-encoder in the usual layout, with
model.safetensors, config.json and tokenizer.json. The result has to agree with what the original answers to many
sentences: otherwise nothing is kept. How it went is in report.md and report.json of the package."""

EPILOG = """\
models:
  {models}

examples:
  npu-memory-convert all-MiniLM-L6-v2 --output models/all-MiniLM-L6-v2
  npu-memory-convert all-MiniLM-L6-v2 --target onnx-int8 --output models/minilm --source ~/all-MiniLM-L6-v2
  npu-memory-convert all-MiniLM-L6-v2 --target rknn --output models/all-MiniLM-L6-v2-rk3588
  npu-memory-convert ~/ms-marco-MiniLM-L-6-v2 --target rknn --lengths 64,128

The package is a folder: the models, tokenizer.json, and manifest.json with the checksums and the agreement with the
original. It takes its place whole, at the end; a conversion that fails or is stopped leaves what was there before.

A model for the NPU (--target rknn) is compiled by rknn-toolkit2, which lives in an environment of its own:
script/convert of a checkout sets it up. What Rockchip's simulator computes is compared with the original in FP32."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="npu-memory-convert",
        description=DESCRIPTION,
        epilog=EPILOG.format(models="\n  ".join(f"{name} ({recipe.license})" for name, recipe in MODELS.items())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="the model to convert: a name, see below, or a folder")
    parser.add_argument(
        "--target",
        type=Target,
        choices=list(Target),
        metavar="TARGET",
        default=Target.ALL,
        help="onnx: FP32, as exact as the original; onnx-int8: a quarter of the size and more than twice as fast; "
        "all: both (default); rknn: for the NPU of an RK3588",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="the folder to write the package to (default: MODEL, or MODEL-rk3588, in the current folder)",
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="DIR",
        help="take model.safetensors and tokenizer.json of a known model from this folder instead of fetching them",
    )
    parser.add_argument(
        "--lengths",
        type=_lengths,
        metavar="N,N,...",
        help="rknn: one model for each number of tokens, padding included (default: 32,64,128,256, or 64,96,128 for "
        "cross-encoders); a text takes the shortest that fits",
    )
    parser.add_argument(
        "--precision",
        type=NpuPrecision,
        choices=list(NpuPrecision),
        metavar="PRECISION",
        default=NpuPrecision.FP16,
        help="rknn: fp16 (default), or hybrid-int8: layers in 8 bits where that loses next to nothing",
    )
    parser.add_argument(
        "--with-embedding-table",
        action="store_true",
        help="rknn: put the table of the words into each model, for programs that hand over token ids (46 MB each "
        "instead of 23)",
    )
    parser.add_argument("--force", action="store_true", help="replace a package that is in the output folder")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main() -> int:
    """Run the command; returns the exit code: 0 converted, 1 failed, 130 stopped."""
    arguments = build_parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it to go on
        signal.signal(signal.SIGHUP, _stop)
    target: Target = arguments.target
    try:
        recipe, folder = find_recipe(arguments.model)
        if folder is not None and arguments.source is not None:
            raise ConversionError("--source is for known models; MODEL is a folder already")
        suffix = f"-{TARGET}" if target is Target.RKNN else ""
        output: Path = (arguments.output or Path(f"{recipe.name}{suffix}")).absolute()
        options = NpuOptions(arguments.lengths, arguments.precision, arguments.with_embedding_table)
        done = convert(recipe, target, output, folder or arguments.source, force=arguments.force, options=options)
    except KeyboardInterrupt:
        print("npu-memory-convert: stopped; nothing was written", file=sys.stderr)
        return 130
    except (ConversionError, ModelError, OSError) as error:
        print(f"npu-memory-convert: error: {error}", file=sys.stderr)
        return 1
    _tell(done, output)
    return 0


def _tell(done: Converted, output: Path) -> None:
    beside = (done.report.for_cpu,) if done.report.for_cpu else ()
    models = {model.file: model for model in (*done.report.models, *beside)}
    for file in done.manifest.files:
        print(f"{file.name:20} {file.bytes / 1e6:6.1f} MB{_accuracy(models.get(file.name))}")
    for warning in done.report.warnings:
        print(f"The toolkit warns: {warning}")
    print(f"The package is complete: {output} (how it went: {MARKDOWN_NAME})")


def _accuracy(model: ModelReport | None) -> str:
    if model is None:
        return ""
    if model.rank_correlation is not None:
        return f"  rank correlation to the original {model.rank_correlation:.5f}"
    if model.vectors is not None:
        return f"  cosine to the original {model.vectors.mean:.6f} mean, {model.vectors.least:.6f} least"
    return ""


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 32,64,128") from error


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
