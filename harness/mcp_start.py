"""Starts the process of an MCP server: a script for a bare interpreter, as `python -IS mcp_start.py FILE`.

FILE is JSON that only its owner can read: `command` (the program and its arguments), `env` (what is added to
the environment) and `errors` (the file that takes the server's stderr). So no value of `env` ever stands in
an argument list. The process becomes the server, so ending the one ends the other.
"""

import json
import os
import sys


def main() -> None:
    """Become the server."""
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    errors = os.open(told["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(errors, 2)
    os.environ.update(told["env"])
    program, *_ = told["command"]
    try:
        os.execvp(program, told["command"])  # the settings say what to start
    except OSError as problem:
        sys.exit(f"{program}: {problem.strerror}")


if __name__ == "__main__":
    main()
