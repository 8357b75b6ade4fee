"""``python -m otel_zdr.cli``: for environments whose scripts are not on the path."""

import sys

from otel_zdr.cli import main

sys.exit(main())
