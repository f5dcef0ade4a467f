"""Print shell commands that make uv install from where this machine's pip installs.

pip is what users, companies and distributions configure (files, `PIP_*`); uv has settings of its own. What pip was told
is passed on unless uv was told something too. Run with the interpreter of an environment that has pip.
"""

import ast
import os
import shlex
import subprocess
import sys

UV_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""pip's option: uv's environment variable."""

SEPARATORS = {"UV_FIND_LINKS": ","}
"""Lists are separated by spaces unless said here."""

SECTIONS = ("global", "install", ":env:")
"""The later one wins, as in pip."""


def pip_options() -> dict[str, str]:
    """Return pip's options as they hold for `pip install`, from its files and from the environment."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in found:
            found[section][option] = str(ast.literal_eval(value))
    return {option: value for section in SECTIONS for option, value in found[section].items()}


def uv_environment(options: dict[str, str]) -> dict[str, str]:
    """Translate pip's options into uv's environment variables."""
    settings = {
        variable: SEPARATORS.get(variable, " ").join(options[option].split())
        for option, variable in UV_SETTINGS.items()
        if options.get(option)
    }
    if "UV_INDEX" in settings:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip takes the best version of all indexes, too
    return {variable: value for variable, value in settings.items() if variable not in os.environ}


if __name__ == "__main__":
    for variable, value in uv_environment(pip_options()).items():
        print(f"export {variable}={shlex.quote(value)}")
