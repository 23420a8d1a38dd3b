"""What developers run: the demo, benchmarks, documentation, supply chain, and all that these need.

Real brokers, stand-ins for the services, the daemon as a process. The tests use them too; the
product imports nothing of it, and none of it is installed.
"""

from pathlib import Path
from typing import Final

#: The repository's folder.
PROJECT: Final = Path(__file__).resolve().parent.parent
