"""`python -m vaekl`."""

import sys

from vaekl.cli import main

if __name__ == "__main__":
    sys.exit(main())
