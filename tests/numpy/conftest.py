"""The helpers of this folder can be imported as `comparing`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
