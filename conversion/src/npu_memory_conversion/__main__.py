"""The command `npu-memory-convert`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
import shutil
import signal
import sys

import onnx
from tqdm import tqdm

from npu_memory_server.embedding.manifest import FileRole, ModelFile, ModelManifest, Precision
from npu_memory_server.embedding.tokenizing import TextTokenizer
from npu_memory_server.errors import ModelError

from . import __version__
from .calibrate import activation_ranges
from .errors import ConversionError
from .export_onnx import Fp32Arithmetic, export_encoder
from .package import check_output, describe, staged, write_manifest
from .quantize import Int8Arithmetic
from .recipe import MODELS, ModelRecipe, Target
from .source import SourceFiles, open_source
from .verify import verify
from .weights import read_weights

TOKENIZER_NAME = "tokenizer.json"
MODEL_NAMES = {Precision.FP32: "model.fp32.onnx", Precision.INT8: "model.int8.onnx"}
PRECISIONS = {
    Target.ONNX: (Precision.FP32,),
    Target.ONNX_INT8: (Precision.INT8,),
    Target.ALL: (Precision.FP32, Precision.INT8),
}
TOOLS = ("numpy", "onnx", "onnxruntime", "safetensors", "tokenizers")
PROJECTIONS_PER_LAYER = 4

DESCRIPTION = """\
Convert a model into the package that the NPU Memory server runs.

The original model is fetched by pip, from whatever index pip is set up to use, or taken from a folder (--source).
Its checksums are compared with the known ones, it is written as ONNX, and the result has to agree with what the
original answers to known sentences: otherwise nothing is kept."""

EPILOG = """\
models:
  {models}

examples:
  npu-memory-convert all-MiniLM-L6-v2 --output models/all-MiniLM-L6-v2
  npu-memory-convert all-MiniLM-L6-v2 --target onnx-int8 --output models/minilm --source ~/all-MiniLM-L6-v2

The package is a folder: the models, tokenizer.json, and manifest.json with the checksums and the agreement with the
original. It takes its place whole, at the end; a conversion that fails or is stopped leaves what was there before."""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="npu-memory-convert",
        description=DESCRIPTION,
        epilog=EPILOG.format(models="\n  ".join(f"{name} ({recipe.license})" for name, recipe in MODELS.items())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", choices=MODELS, metavar="MODEL", help="the model to convert, see below")
    parser.add_argument(
        "--target",
        type=Target,
        choices=list(Target),
        metavar="TARGET",
        default=Target.ALL,
        help="onnx: FP32, as exact as the original; onnx-int8: a quarter of the size and more than twice as fast; "
        "all: both (default)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to write the package to")
    parser.add_argument(
        "--source",
        type=Path,
        metavar="DIR",
        help="take model.safetensors and tokenizer.json from this folder instead of fetching them",
    )
    parser.add_argument("--force", action="store_true", help="replace a package that is in the output folder")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def convert(recipe: ModelRecipe, target: Target, output: Path, source: Path | None, *, force: bool) -> ModelManifest:
    """Convert a model into a package at `output`, and return its manifest.

    Raises ConversionError, ModelError or OSError; whatever was at `output` is still there then.
    """
    check_output(output, force=force)
    with open_source(recipe.source, source) as files, staged(output) as folder:
        written = _write_models(recipe, PRECISIONS[target], files, folder)
        shutil.copyfile(files.tokenizer, folder / TOKENIZER_NAME)
        manifest = ModelManifest(
            name=recipe.name,
            revision=recipe.revision,
            kind=recipe.kind,
            dimensions=recipe.hidden,
            max_length=recipe.max_length,
            pooling=recipe.pooling,
            normalize=True,
            license=recipe.license,
            files=(*written, describe(folder, TOKENIZER_NAME, FileRole.TOKENIZER)),
            tools={"npu-memory-conversion": __version__, **{tool: version(tool) for tool in TOOLS}},
        )
        agreement = {precision: verify(folder, manifest, precision, recipe) for precision in PRECISIONS[target]}
        manifest = replace(manifest, verification=agreement)
        write_manifest(folder, manifest)
    return manifest


def main() -> int:
    """Run the command; returns the exit code: 0 converted, 1 failed, 130 stopped."""
    arguments = build_parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    output: Path = arguments.output.absolute()
    try:
        manifest = convert(MODELS[arguments.model], arguments.target, output, arguments.source, force=arguments.force)
    except KeyboardInterrupt:
        print("npu-memory-convert: stopped; nothing was written", file=sys.stderr)
        return 130
    except (ConversionError, ModelError, OSError) as error:
        print(f"npu-memory-convert: error: {error}", file=sys.stderr)
        return 1
    for file in manifest.files:
        checked = manifest.verification.get(file.precision) if file.precision else None
        line = f"{file.name:16} {file.bytes / 1e6:6.1f} MB"
        if checked:
            line += f"  cosine to the original {checked.cosine_mean:.5f} mean, {checked.cosine_min:.5f} least"
        print(line)
    print(f"The package is complete: {output}")
    return 0


def _write_models(
    recipe: ModelRecipe, precisions: tuple[Precision, ...], files: SourceFiles, folder: Path
) -> list[ModelFile]:
    weights = read_weights(files.weights, recipe)
    exact = export_encoder(weights, recipe, Fp32Arithmetic())
    models = {Precision.FP32: exact}
    if Precision.INT8 in precisions:
        ranges = activation_ranges(exact, TextTokenizer(files.tokenizer, recipe.max_length))
        matrices = recipe.layers * PROJECTIONS_PER_LAYER
        with tqdm(total=matrices, desc="quantizing", unit="matrix", leave=False, disable=None) as bar:
            models[Precision.INT8] = export_encoder(
                weights, recipe, Int8Arithmetic(ranges, recipe.int8, report=bar.update)
            )
    for precision in precisions:
        onnx.save(models[precision], folder / MODEL_NAMES[precision])
    return [describe(folder, MODEL_NAMES[precision], FileRole.ONNX, precision) for precision in precisions]


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
