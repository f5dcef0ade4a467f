#!/bin/bash
# model.sh FOLDER: makes FOLDER/all-MiniLM-L6-v2, the package of the default embedding model.
set -euo pipefail
folder=$1
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rm -rf "$folder"
mkdir -p "$folder"
PYTHONPATH=$checkout/conversion/src:$checkout/addon/src "$CONVERSION_PYTHON" -m npu_memory_conversion all-MiniLM-L6-v2 \
  --output "$folder/all-MiniLM-L6-v2"
