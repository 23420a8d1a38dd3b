"""``python -m cki_notifier``."""

import sys

from cki_notifier.cli import main

sys.exit(main())
