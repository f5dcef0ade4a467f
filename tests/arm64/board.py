"""An emulated RK3588 board: the stand-in NPU as a service, and the real server on real rknn-toolkit-lite2 for arm64."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
import signal
import socket
import struct
import subprocess
import threading
import time
from types import TracebackType
from typing import Self

import numpy as np

from npu_memory_server.data_directory import read_token, server_address
from tests.server.npu.stand_in import SUCCESS, StandInNpu

SOURCES = Path(__file__).parents[2] / "addon" / "src"
START_SECONDS = 300.0

_REQUEST = struct.Struct("<IIQ")
_ANSWER = struct.Struct("<iI")
_OPENED = struct.Struct("<QIIII")
INIT, CORE_MASK, INPUTS, RUN, OUTPUTS, DESTROY = range(1, 7)


class NpuService:
    """Answers the stand-in library: one connection a context."""

    def __init__(self, npu: StandInNpu, path: Path) -> None:
        self.npu = npu
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.npu.released.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        number, length = 0, 0
        with connection:
            while header := _read(connection, _REQUEST.size):
                operation, size, _ = _REQUEST.unpack(header)
                content = _read(connection, size)
                code, answer = 0, b""
                match operation:
                    case 1:
                        code, number = self.npu.init(content)
                        if code == SUCCESS:
                            length, hidden, outputs = self.npu.shape(number)
                            answer = _OPENED.pack(number, length, hidden, outputs, 0)
                    case 2:
                        code = self.npu.set_core_mask(number, struct.unpack("<i", content)[0])
                    case 3:
                        values = np.frombuffer(content, "<f4")
                        code = self.npu.set_inputs(number, values[:-length], values[-length:])
                    case 4:
                        code = self.npu.run(number)
                    case 5:
                        answer = self.npu.outputs(number)[struct.unpack("<I", content)[0]].astype("<f4").tobytes()
                    case _:
                        self.npu.destroy(number)
                connection.sendall(_ANSWER.pack(code, len(answer)) + answer)


def _read(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = connection.recv(size - len(parts))
        except OSError:
            return b""
        if not part:
            return b""
        parts += part
    return bytes(parts)


class EmulatedServer:
    """`npu-memory serve` on the emulated board."""

    def __init__(
        self, environment: Path, root: Path, data: Path, socket_path: Path, variables: Mapping[str, str]
    ) -> None:
        self._command = [environment / "qemu", "-L", root, environment / "root/usr/bin/python3.11", "-m"]
        self._command += ["npu_memory_server", "serve", "--data-dir", data, "--host", "127.0.0.1", "--port", "0"]
        self._variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(data.parent),
            "PYTHONPATH": f"{SOURCES}:{environment / 'packages'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "QEMU_CPU": "cortex-a76",
            "NPU_STAND_IN_SOCKET": str(socket_path),
            **variables,
        }
        self.data = data
        self.log = data.parent / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> int:
        """Start, and wait until it listens; returns the port. Raises RuntimeError with its log if it ends before."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._variables, stdout=log, stderr=log)
        limit = time.monotonic() + START_SECONDS
        while (address := server_address(self.data)) is None:
            if self._process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.1)
        return address.port

    @property
    def token(self) -> str:
        return read_token(self.data)

    def stop(self) -> None:
        """Ask it to end; what hangs in its NPU does not keep it for long."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise
            if self._process.returncode != 0:
                raise RuntimeError(f"it ended with {self._process.returncode}: {self.log.read_text()}")


def board_root(environment: Path, folder: Path) -> Path:
    """Return a root of one's own, whose devices and libraries can be taken away; the rest are links."""
    source = environment / "root"
    for part in ("", "usr", "usr/lib"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for entry in (source / part).iterdir():
            relative = entry.relative_to(source)
            if str(relative) not in ("usr", "usr/lib", "dev", "proc"):
                (folder / relative).symlink_to(entry)
    for part in ("dev/dri/renderD129", "proc/device-tree/compatible", "proc/cpuinfo"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).write_bytes((source / part).read_bytes())
    return folder
