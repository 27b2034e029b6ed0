"""``python -m trunkline.cli``."""

import sys

from trunkline.cli.main import main

sys.exit(main())
