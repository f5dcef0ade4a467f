"""What stops by itself ends well, whatever its threads are doing at that moment."""

from pathlib import Path
import subprocess
import sys
import textwrap

from npu_memory_server.settings import EMBEDDER
from tests.server.process import environment

PROGRAM = """
    import logging, pathlib, sys, threading
    from npu_memory_server.cli.leaving import leave
    from npu_memory_server.embedding.embedder import OnnxEmbedder

    embedder = OnnxEmbedder.load(pathlib.Path(sys.argv[1]))
    begun = threading.Event()

    def work():
        while True:
            embedder.embed("what a thread that was left behind reads " * 20)
            begun.set()

    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    print("all is closed")
    leave(3)
"""


def test_a_thread_that_is_left_in_a_library_does_not_turn_the_end_into_a_crash(model_directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(model_directory / EMBEDDER)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, "all is closed\n"), done.stderr
