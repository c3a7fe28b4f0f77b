"""Machines of a test's own: namespaces with a hostname, a process table, and a cable to this host."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

HERE = "198.18.{}.{}"
"""Addresses that are set aside for the tests of networks (RFC 2544)."""

_NAMED = 'echo "$0" > /proc/sys/kernel/hostname && exec "$@"'


@dataclass(frozen=True)
class Machine:
    """A network namespace; `cable` is the host's end of its link.

    Each command on it has a table of processes that holds nothing but its own.
    """

    name: str
    namespace: str
    cable: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What puts a command onto this machine, as the child of a process that ends with its exit code."""
        alone = ("--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
        named = ("unshare", *alone, "sh", "-c", _NAMED, self.name)
        return (_program(), "netns", "exec", self.namespace, *named)

    def unplug(self) -> None:
        """Let nothing through any more; neither side is told."""
        _ip("link", "set", self.cable, "down")

    def plug_in(self) -> None:
        """Let everything through again."""
        _ip("link", "set", self.cable, "up")


@dataclass(frozen=True)
class Network:
    """Some machines, and the address at which all of them reach this host."""

    address: str
    machines: tuple[Machine, ...]


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """Make machines of these names, and remove whatever was made."""
    number = os.getpid() % 10000
    subnet, bridge = number % 256, f"hb{number}"
    with ExitStack() as made:
        _ip("link", "add", bridge, "type", "bridge")
        made.callback(_ip, "link", "del", bridge)
        _ip("addr", "add", f"{HERE.format(subnet, 1)}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        machines = []
        for place, name in enumerate(names):
            machine = Machine(f"{name}.test", f"harness-{number}-{name}", f"hv{number}-{place}")
            _ip("netns", "add", machine.namespace)
            made.callback(_ip, "netns", "del", machine.namespace)
            _ip("link", "add", machine.cable, "type", "veth", "peer", "eth0", "netns", machine.namespace)
            # A namespace lives on while a process is in it, and its cable with it.
            made.callback(_ip, "link", "del", machine.cable)
            _ip("link", "set", machine.cable, "master", bridge, "up")
            inside = ("-n", machine.namespace)
            _ip(*inside, "addr", "add", f"{HERE.format(subnet, place + 2)}/24", "dev", "eth0")
            _ip(*inside, "link", "set", "eth0", "up")
            _ip(*inside, "link", "set", "lo", "up")
            machines.append(machine)
        yield Network(HERE.format(subnet, 1), tuple(machines))


def _program() -> str:
    found = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert found, "There is no `ip` on this machine; install it: apt-get install iproute2"
    return found


def _ip(*words: str) -> None:
    done = subprocess.run([_program(), *words], capture_output=True, text=True, check=False)
    problem = f"`ip {' '.join(words)}` failed: {done.stderr.strip()}; network namespaces take root"
    assert done.returncode == 0, problem
