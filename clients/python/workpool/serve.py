# SPDX-License-Identifier: MIT
"""python3 -m workpool.serve MODULE:FUNCTION: serves a function that need not know of workpool."""

from __future__ import annotations

import sys

from workpool._serving import main, serve

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
else:
    # `import workpool.serve` would put this module where the package has its function of the same name.
    sys.modules[__name__] = serve  # type: ignore[assignment]
