"""Bubblewrap: processes in a file system of their own.

In place of the base image there are this machine's Debian and the Python that runs the tests.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: What the base image sets.
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What the base image has, where this machine has it; of /etc only what a program looks for.
_BASE = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/pki", "/etc/ssl"),
)


def building(
    root: Path, environment: Mapping[str, str], folder: str, wheels: Path, command: str
) -> list[str]:
    """Return the command line that runs a shell command as root in a stage, without network.

    Args:
        root: of the stage; what is written goes there.
        environment: all of it; ``python`` and pip are those of the tests.
        folder: to run it in.
        wheels: where pip finds packages, in place of an index.
        command: for the shell.
    """
    user = [] if os.geteuid() == 0 else ["--unshare-user", "--uid", "0", "--gid", "0"]
    path = f"{sys.prefix}/bin:{environment.get('PATH', BASE_PATH)}"
    # A container engine gives root its home, which pip looks for.
    given = {"HOME": "/root", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    return [
        *("bwrap", *user, "--unshare-net", "--unshare-pid", "--die-with-parent"),
        *("--bind", str(root), "/", *_base(), "--tmpfs", "/tmp"),  # noqa: S108  # the stage's
        *(*_mount(Path(sys.prefix)), *_mount(wheels)),
        *("--clearenv", *_variables({**environment, **given, "PATH": path})),
        *("--chdir", folder, "--", "/bin/sh", "-c", command),
    ]


def running(
    root: Path,
    environment: Mapping[str, str],
    command: Sequence[str],
    *,
    user_id: int,
    files: Mapping[str, Path],
) -> list[str]:
    """Return the command line that runs a command as a platform runs a container.

    As process 1 with any user id and group 0, no capabilities, no way to get any, and no file or
    folder that can be written to, not even /tmp or /dev/shm. The network is this machine's.

    Args:
        root: the image's files.
        environment: all of it.
        command: the program, looked for in the environment's PATH, and its arguments.
        user_id: an account that exists nowhere.
        files: what a platform mounts: where it is seen, and where it is here.
    """
    if os.geteuid() == 0:
        user, dropping = [], _dropping(user_id)
    else:
        user, dropping = _unprivileged(user_id), []
    mounts = [word for place, source in files.items() for word in _mount(source, place)]
    return [
        *("bwrap", *user, "--unshare-pid", "--as-pid-1", "--unshare-ipc"),
        *("--bind", str(root), "/", *_base(), *mounts),
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--clearenv", *_variables(environment), "--chdir", "/", "--", *dropping, *command),
    ]


def _dropping(user_id: int) -> list[str]:
    """Return what root puts before a command, so that it is as good as nobody."""
    return [
        *("setpriv", f"--reuid={user_id}", "--regid=0", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--"),
    ]


def _unprivileged(user_id: int) -> list[str]:
    """Return what anybody else can have: a user namespace, in which the ids are these."""
    return ["--unshare-user", "--uid", str(user_id), "--gid", "0", "--cap-drop", "ALL"]


def _base() -> Iterator[str]:
    """Yield the mounts that stand in for the base image, all of them read-only."""
    yield from ("--proc", "/proc", "--dev", "/dev")
    for name in (*_BASE, sys.base_prefix):
        path = Path(name)
        if path.exists() and (name == "/usr" or not path.is_relative_to("/usr")):
            yield from _mount(path)


def _mount(source: Path, place: str = "") -> Iterator[str]:
    """Yield what mounts a file or folder read-only, by default where it is."""
    target = Path(place or source)
    for folder in [*target.parents][-2::-1]:  # left to itself, it makes them for root alone
        yield from ("--perms", "0755", "--dir", str(folder))
    yield from ("--ro-bind", str(source), str(target))


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, text in environment.items():
        yield from ("--setenv", name, text)
