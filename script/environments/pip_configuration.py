"""Write what this machine's pip is configured with to a folder, for an image's build: `pip.conf`, `certificates.pem`.

Folders of this machine are left out, since they are not in the image. Run with the interpreter of an environment that
has pip.
"""

from configparser import RawConfigParser
from pathlib import Path
import shutil
import sys

from script.environments.uv_settings import pip_options

LISTS = ("index-url", "extra-index-url", "find-links")
KEPT = (*LISTS, "trusted-host", "proxy", "default-timeout", "timeout")
CERTIFICATES = "certificates.pem"
MOUNTED = f"/run/secrets/{CERTIFICATES}"


def image_options(options: dict[str, str]) -> dict[str, str]:
    """Return those of pip's options that hold in an image too."""
    kept = {option: value for option, value in options.items() if option in KEPT}
    for option in LISTS:
        addresses = [address for address in kept.pop(option, "").split() if address.startswith(("http://", "https://"))]
        if addresses:
            kept[option] = " ".join(addresses)
    if "cert" in options:
        kept["cert"] = MOUNTED
    return kept


def main(folder: Path) -> None:
    """Write the files that are needed."""
    options = pip_options()
    if "cert" in options:
        shutil.copyfile(options["cert"], folder / CERTIFICATES)
    configuration = RawConfigParser()
    configuration["global"] = image_options(options)
    with (folder / "pip.conf").open("w") as stream:
        configuration.write(stream)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
