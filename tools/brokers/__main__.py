"""python -m brokers: see matrix.py."""

import sys

from .matrix import main

sys.exit(main())
