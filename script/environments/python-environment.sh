#!/bin/bash
# python-environment.sh FOLDER REQUIREMENTS...: Python 3.11 or 3.12 (what the server supports) with the requirements files installed.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=script/environments/find-python.sh
. "$here/find-python.sh"
folder=$1
shift

python=$(find_python 3.11 3.13 'import ensurepip, ctypes, sqlite3, ssl, zlib') ||
  python=$(find_python 3.11 3.13 'import ctypes, sqlite3, ssl, zlib') || {
  echo "The memory server needs Python 3.11 or 3.12. Install one (Debian: apt-get install python3; pyenv: pyenv install 3.12)."
  exit 1
}
eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"
"$UV" venv --clear --python "$python" "$folder"
"$UV" pip install --python "$folder/bin/python" "${@/#/--requirement=}"
