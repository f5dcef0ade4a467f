"""Started as root, the server is not root: what it has is its own, and there is no way back."""

from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile

import pytest

from npu_memory_server.container.privileges import USER_ID, groups_of
from tests.server.process import environment

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

BECOME = """
import json, os, sys
from pathlib import Path
from npu_memory_server.container.privileges import become_user, hand_over
data = Path(sys.argv[1])
os.setresuid(0, int(sys.argv[2]), 0)
hand_over(data)
become_user({44})
(data / "mine").write_text("x")
try:
    os.setuid(0)
    back = True
except OSError:
    back = False
print(json.dumps({"users": os.getresuid(), "groups": os.getgroups(), "back": back}))
"""


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        yield Path(folder)


def become(data: Path, acting_as: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BECOME, data, str(acting_as)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@needs_root
def test_the_server_becomes_its_own_user_for_good(data: Path) -> None:
    (data / "token").write_text("secret")
    (data / "options.json").write_text("{}")
    result = json.loads(become(data).stdout)
    assert result == {"users": [USER_ID] * 3, "groups": [44], "back": False}
    owners = {path.name: path.stat().st_uid for path in data.iterdir()}
    assert owners == {"token": USER_ID, "mine": USER_ID, "options.json": 0}


@needs_root
def test_where_that_is_not_allowed_it_says_how_to_start_it(data: Path) -> None:
    result = become(data, acting_as=12345)
    assert result.returncode != 0
    assert "Start the container as that user (user: 10750:10750)" in result.stderr.replace("\n", " ")


def test_the_groups_of_the_devices_that_are_there_are_kept(data: Path) -> None:
    device = data / "renderD129"
    device.touch()
    device.chmod(0o660)
    group = 105 if os.geteuid() == 0 else os.getgid()
    os.chown(device, -1, group)
    assert groups_of([device, data / "rknpu"]) == ({group}, [])


def test_a_device_that_is_everybodys_needs_no_group(data: Path) -> None:
    device = data / "renderD129"
    device.touch()
    device.chmod(0o666)
    assert groups_of([device]) == (set(), [])


def test_a_device_that_root_alone_may_use_is_told_of(data: Path) -> None:
    device = data / "rknpu"
    device.touch()
    device.chmod(0o600)
    assert groups_of([device]) == (set(), [device])
