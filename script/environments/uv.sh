#!/bin/bash
# uv.sh FOLDER: uv in a virtual environment of its own, installed by pip, so that all that is needed is a Python with pip.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=script/environments/find-python.sh
. "$here/find-python.sh"
folder=$1

if ! python=$(find_python 3.9 4 'import ensurepip, venv'); then
  echo "No Python that can make virtual environments: installing python3-venv"
  bash "$here/system-packages.sh" python3 python3-venv
  python=$(find_python 3.9 4 'import ensurepip, venv')
fi
"$python" -m venv --clear "$folder"
PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 "$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
  --requirement "$here/../requirements/uv.txt"
"$folder/bin/uv" --version
