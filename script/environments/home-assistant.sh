#!/bin/bash
# home-assistant.sh FOLDER REQUIREMENTS COMPONENTS [RELEASE]: Home Assistant as in the file REQUIREMENTS, or the one in the file RELEASE
# where the tools in REQUIREMENTS want another; and what the components named in the file COMPONENTS need: the wheel of Home Assistant
# does not bring the requirements of its components.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
folder=$1 requirements=$2 components=$3
release=(${4:+--override "$4"})

if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null; then
  echo "Two requirements of the voice pipeline are compiled: installing g++"
  bash "$here/system-packages.sh" g++
fi
eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"
"$UV" venv --clear --python "$PYTHON314" "$folder"
"$UV" pip install --python "$folder/bin/python" --requirement "$requirements" "${release[@]}"
mapfile -t names < <(sed 's/#.*//' "$components" | xargs -n 1)
"$folder/bin/python" "$here/component_requirements.py" "${names[@]}" >"$folder/component-requirements.txt"
constraints=$("$folder/bin/python" -c 'import pathlib, homeassistant as h; print(pathlib.Path(h.__file__).parent / "package_constraints.txt")')
"$UV" pip install --python "$folder/bin/python" --constraint "$constraints" --requirement "$folder/component-requirements.txt"
