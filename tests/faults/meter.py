"""Linux's data about a daemon: its process id, memory, CPU time and connections."""

import contextlib
import os
import re
from pathlib import Path

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


def find(folder: Path) -> int:
    """Return the process id of the daemon with this working folder.

    Its keeper has the same folder, but runs a script and not the module.
    """
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                is_here = (process / "cwd").samefile(folder)
                arguments = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended, or is not ours
            if is_here and arguments[1:3] == [b"-m", b"cki_notifier"]:
                return int(process.name)
    raise LookupError(f"no daemon works in {folder}")


def peak(pid: int) -> float:
    """Return the peak resident set of a process, in MiB.

    Source: proc(5), `VmHWM` in `/proc/<pid>/status`.
    """
    found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def worked(pid: int) -> float:
    """Return the CPU time of all threads of a process, in seconds.

    Source: proc(5), `utime` and `stime` in `/proc/<pid>/stat`; the name before may hold anything.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def holds(pid: int, port: int) -> bool:
    """Return whether a process has a socket on 127.0.0.1 with this port.

    Source: proc(5), `/proc/net/tcp` (the address in hexadecimal, the inode in the tenth column)
    and `/proc/<pid>/fd`.
    """
    address = f"0100007F:{port:04X}"
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    sockets = {f"socket:[{columns[9]}]" for columns in table if columns[1] == address}
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # it has closed this one, or ended, meanwhile
            if str(descriptor.readlink()) in sockets:
                return True
    return False
