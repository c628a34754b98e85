"""python -m benchmarks NAME [--quick]: a table with the peers beside us, then one JSON object of named figures.

Peers are other people's packages in .venv-peers (make bench builds it); where they are missing their rows are too.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run one benchmark; what it returns is printed as the last line."""
    names = sorted(path.stem for path in HERE.glob("*.py") if "def main(" in path.read_text() and path.stem[0] != "_")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="smaller sizes, within 10 minutes on 2 cores")
    parser.add_argument("--minutes", type=float, help="art: to train each recipe, in either form")
    parser.add_argument("--only", help="art: recipes, with commas")
    parser.add_argument("--side", type=int, help="art: of the pictures that painters learn from, in pixels")
    chosen = parser.parse_args()
    wishes = {name: value for name in ("minutes", "only", "side") if (value := getattr(chosen, name)) is not None}
    if wishes and chosen.name != "art":
        parser.error(f"--{' and --'.join(wishes)}: of art alone")
    # Behind the project's own packages, so that a peer never brings another version of what we run on.
    sys.path += [str(folder) for folder in (HERE.parent / ".venv-peers" / "lib").glob("python3.*/site-packages")]
    figures = importlib.import_module(f"benchmarks.{chosen.name}").main(quick=chosen.quick, **wishes)
    print(json.dumps(figures, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
