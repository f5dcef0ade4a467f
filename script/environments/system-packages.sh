#!/bin/bash
# system-packages.sh PACKAGE...: installs Debian packages, as root or through sudo; says what to type where neither is possible.
set -euo pipefail
if ! command -v apt-get >/dev/null; then
  echo "This machine has no apt-get. Install what corresponds to the Debian packages: $*. Then run this again."
  exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
  as_root=()
elif sudo --non-interactive true 2>/dev/null; then
  as_root=(sudo --non-interactive)
else
  echo "Needed from Debian: $*. Type: sudo apt-get update && sudo apt-get install $*. Then run this again."
  exit 1
fi
"${as_root[@]}" apt-get --quiet=2 update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --no-install-recommends install "$@"
