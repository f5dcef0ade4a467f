# shellcheck shell=bash
# Sourced by recipes.

# find_python MINIMUM BELOW [STATEMENT]: prints the first interpreter on this machine whose version is at least MINIMUM and lower than
# BELOW (both as in 3.14.2) and that executes STATEMENT. Looks at PATH, then at what pyenv has installed. Returns 1 if there is none.
find_python() {
  local minimum=${1//./, } below=${2//./, } statement=${3:-pass} candidate minor
  local candidates=()
  for minor in 3.11 3.12 3.13 3.14 3.15 3; do
    mapfile -t -O "${#candidates[@]}" candidates < <(type -ap "python$minor")
  done
  shopt -s nullglob
  candidates+=("${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3)
  shopt -u nullglob
  for candidate in "${candidates[@]}"; do
    "$candidate" -c "import sys; sys.exit(not (($minimum,) <= sys.version_info < ($below,)))" 2>/dev/null &&
      "$candidate" -c "$statement" 2>/dev/null &&
      "$candidate" -c 'import sys; print(sys.executable)' && return 0
  done
  return 1
}
