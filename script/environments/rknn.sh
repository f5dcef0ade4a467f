#!/bin/bash
# rknn.sh FOLDER REQUIREMENTS: Python 3.11 with rknn-toolkit2, which compiles models for Rockchip's NPUs, and without CUDA.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=script/environments/find-python.sh
. "$here/find-python.sh"
folder=$1 requirements=$2

python=$(find_python 3.11 3.12 'import ensurepip, ctypes, lzma, ssl, zlib') ||
  python=$(find_python 3.11 3.12 'import ctypes, lzma, ssl, zlib') || {
  echo "The toolkit for the NPU needs Python 3.11. Install it (Debian bookworm: apt-get install python3; pyenv: pyenv install 3.11)."
  exit 1
}
eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"
"$UV" venv --clear --python "$python" "$folder"
"$UV" pip install --python "$folder/bin/python" --no-deps --require-hashes --requirement "$requirements" || {
  echo "If torch is what is missing: the toolkit imports it for every model, and its CPU build, the wheel"
  echo "$(sed -n 's/^torch==\([^ ]*\).*/torch-\1-cp311-cp311-manylinux_2_28_x86_64.whl/p' "$requirements"), is not in every index. Get it from PyTorch and point pip at its folder:"
  echo "  pip config set global.find-links FOLDER"
  exit 1
}
