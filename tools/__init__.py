"""Programs for developers: the demo, benchmarks, documentation, supply chain.

They use private brokers, stand-ins for the services, and the daemon as a process. The tests use
these, too. The product imports nothing from here, and none of it is installed.
"""

from pathlib import Path
from typing import Final

#: The repository's folder.
PROJECT: Final = Path(__file__).resolve().parent.parent
