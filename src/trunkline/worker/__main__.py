"""Starts a worker: ``python -m trunkline.worker``."""

import sys

from trunkline.worker.main import main

sys.exit(main())
