#!/bin/bash
# peer.sh FOLDER REQUIREMENTS: Python 3.11 or 3.12 with what our server is compared with, and without CUDA.
# Ends with 3, and a sentence in the last line, where it cannot be had on this machine.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=script/environments/find-python.sh
. "$here/find-python.sh"
folder=$1 requirements=$2

python=$(find_python 3.11 3.13 'import bz2, ctypes, lzma, sqlite3, ssl, zlib') || {
  echo "there is no Python 3.11 or 3.12 with bz2, lzma, sqlite3 and ssl"
  exit 3
}
eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"
"$UV" venv --clear --python "$python" "$folder"
plan=$("$UV" pip install --python "$folder/bin/python" --dry-run --requirement "$requirements" 2>&1) || {
  echo "$plan"
  echo "its packages cannot be had from where pip installs on this machine"
  exit 3
}
if grep --quiet --ignore-case nvidia <<<"$plan"; then
  echo "the PyTorch that pip would install brings CUDA along: get its build for CPUs and point pip at the folder (pip config set global.find-links FOLDER)"
  exit 3
fi
"$UV" pip install --python "$folder/bin/python" --requirement "$requirements"
