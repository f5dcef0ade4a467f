#!/bin/bash
# arm64.sh FOLDER REQUIREMENTS...: an RK3588 board to be emulated. FOLDER/root has Debian's Python 3.11 for arm64, the device tree and the
# device node of the board, and the stand-in for Rockchip's runtime; FOLDER/packages the server's requirements for it, the real
# rknn-toolkit-lite2 among them; FOLDER/qemu emulates the processor. Nothing is installed on this machine, and no root is needed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$1
shift
root=$folder/root apt=$folder/apt tools=$folder/tools
packages=(python3.11-minimal libpython3.11-stdlib libstdc++6 libgcc-s1 libc6 zlib1g libffi8 libsqlite3-0 libssl3 libuuid1 libexpat1)

for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null || { echo "There is no $tool: the packages for arm64 are Debian's."; exit 3; }
done
rm -rf "$folder"
mkdir -p "$root" "$tools" "$apt"/{state/lists/partial,cache/archives/partial}
touch "$apt/status"
# With lists and a status of its own, so that nothing of this machine's packages is touched.
options=(-o "Dir::State=$apt/state" -o "Dir::Cache=$apt/cache" -o "Dir::State::status=$apt/status" -o APT::Architecture=arm64
  -o APT::Architectures=arm64 -o APT::Sandbox::User=)
apt-get "${options[@]}" --quiet=2 update
apt-get "${options[@]}" --quiet=2 --yes --no-install-recommends --download-only install "${packages[@]}" || {
  echo "The package lists of this machine have no Python 3.11 for arm64 (Debian 12 has)."
  exit 3
}
for package in "$apt"/cache/archives/*.deb; do dpkg --extract "$package" "$root"; done

if command -v qemu-aarch64-static >/dev/null; then
  ln -s "$(command -v qemu-aarch64-static)" "$folder/qemu"
else
  (cd "$tools" && apt-get -o APT::Sandbox::User= --quiet=2 download qemu-user-static && dpkg --extract qemu-user-static_*.deb qemu)
  ln -s "$tools/qemu/usr/bin/qemu-aarch64-static" "$folder/qemu"
fi
rm -rf "$apt"

eval "$("$(dirname "$UV")/python" "$here/uv_settings.py")"
"$UV" pip install --target "$folder/packages" --python-platform aarch64-manylinux_2_28 --python-version 3.11 --only-binary :all: \
  "${@/#/--requirement=}"
"$UV" pip install --target "$tools/zig" --requirement "$here/../requirements/arm64.txt"

mkdir -p "$root/dev/dri" "$root/proc/device-tree"
touch "$root/dev/dri/renderD129"
printf 'rockchip,rk3588-orangepi-5-max\0rockchip,rk3588\0' >"$root/proc/device-tree/compatible"
# onnxruntime asks here for the processor, and does not survive the answer of another kind of machine.
for number in $(seq 0 $(($(nproc) - 1))); do
  printf 'processor\t: %d\nFeatures\t: fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm asimddp\n' "$number"
  printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 0\n\n'
done >"$root/proc/cpuinfo"
ZIG_GLOBAL_CACHE_DIR=$tools/cache ZIG_LOCAL_CACHE_DIR=$tools/cache PYTHONPATH=$tools/zig "$(dirname "$UV")/python" -m ziglang cc \
  -target aarch64-linux-gnu.2.31 -O1 -Wall -Wextra -Werror -shared -fPIC -o "$root/usr/lib/librknnrt.so" "$here/../../tests/arm64/librknnrt.c"
rm -rf "${tools:?}/zig" "$tools/cache"

QEMU_CPU=cortex-a76 PYTHONPATH=$folder/packages "$folder/qemu" -L "$root" "$root/usr/bin/python3.11" -c \
  'import onnxruntime, tokenizers, rknnlite.api; print("onnxruntime and rknn-toolkit-lite2 run for arm64")'
