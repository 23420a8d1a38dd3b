"""Run processes in their own file system with bubblewrap.

This machine's Debian and the tests' Python replace the base image.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: The environment of the base image.
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
#: The base image's folders, if this machine has them, and the files of /etc that programs read.
_BASE = (
    *("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/pki", "/etc/ssl"),
)


def building(
    root: Path, environment: Mapping[str, str], folder: str, wheels: Path, command: str
) -> list[str]:
    """Return the command line that runs a shell command as root in a stage, without network.

    Args:
        root: the stage's files, which the command changes.
        environment: the whole environment. ``python`` and pip are those of the tests.
        folder: the current folder.
        wheels: the folder of packages that replaces the index.
        command: the shell command.
    """
    user = [] if os.geteuid() == 0 else ["--unshare-user", "--uid", "0", "--gid", "0"]
    path = f"{sys.prefix}/bin:{environment.get('PATH', BASE_PATH)}"
    # pip needs the home that a container engine gives root.
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

    The command is process 1, with any user id, group 0 and no capabilities. It can't write to any
    file or folder, not even to /tmp or /dev/shm. It uses this machine's network.

    Args:
        root: the image's files.
        environment: the whole environment.
        command: a program in the environment's PATH, and its arguments.
        user_id: an account that does not exist.
        files: the mounted files: their path in the container, and here.
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
    """Return the prefix that removes root's privileges from a command."""
    return [
        *("setpriv", f"--reuid={user_id}", "--regid=0", "--clear-groups", "--no-new-privs"),
        *("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--"),
    ]


def _unprivileged(user_id: int) -> list[str]:
    """Return the options for other users: a user namespace with these ids."""
    return ["--unshare-user", "--uid", str(user_id), "--gid", "0", "--cap-drop", "ALL"]


def _base() -> Iterator[str]:
    """Yield the read-only mounts that replace the base image."""
    yield from ("--proc", "/proc", "--dev", "/dev")
    for name in (*_BASE, sys.base_prefix):
        path = Path(name)
        if path.exists() and (name == "/usr" or not path.is_relative_to("/usr")):
            yield from _mount(path)


def _mount(source: Path, place: str = "") -> Iterator[str]:
    """Yield the options that mount a file or folder read-only, by default at its own path."""
    target = Path(place or source)
    for folder in [*target.parents][-2::-1]:  # by default, bubblewrap makes them for root only
        yield from ("--perms", "0755", "--dir", str(folder))
    yield from ("--ro-bind", str(source), str(target))


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name, text in environment.items():
        yield from ("--setenv", name, text)
