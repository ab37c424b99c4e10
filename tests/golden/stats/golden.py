"""What the scripts share that write the golden files of `src/stats`, next to themselves: `python make.py`,
`python make_months.py` and `python make_groups.py`, with requirements.txt installed.

Each expected number is that of a known library, and is checked here against the definition, worked out with whole numbers,
fractions or 60 digits. Where a library is off by more than 1e-11, or has no such function, the exact number is written
instead: see EXACT of each script, which says why by name of the case, and must be complete, or the script stops. An empty
p_value is one under 1e-300.
"""

import csv
import math
from pathlib import Path

from mpmath import erfc, mp, mpf, sqrt

mp.dps = 60
HERE = Path(__file__).parent
Z_95 = sqrt(2) * mp.erfinv(mpf("0.95"))


def two_sided(z):
    return erfc(abs(z) / sqrt(2))


def number(fraction):
    return mpf(fraction.numerator) / fraction.denominator


class Golden:
    """The rows of a file, and which of its numbers had to be replaced."""

    replaced = {}

    def __init__(self, name, columns):
        self.name, self.columns, self.rows, self.case = name, columns, [], None

    def expect(self, library, exact):
        """The library's number, if it is right."""
        exact = exact if isinstance(exact, type(mpf(1))) else number(exact)
        if exact < mpf(10) ** -300 and exact > 0:
            return ""
        library = float(library)
        off = abs(mpf(library) - exact) if math.isfinite(library) else mp.inf
        if off <= mpf(10) ** -11 * abs(exact):
            return repr(library)
        self.replaced.setdefault(self.case, []).append(f"{library!r} instead of {float(exact)!r}")
        return repr(float(exact))

    def write(self):
        with open(HERE / f"{self.name}.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self.rows)
        assert len(self.rows) < 200, self.name


def words(numbers):
    return " ".join(repr(number) if isinstance(number, float) else str(number) for number in numbers)


def finish(exact):
    """Stops when the replaced cases are not those of the list."""
    for case, replaced in Golden.replaced.items():
        print(f"{case}: {'; '.join(replaced)}")
    if Golden.replaced.keys() != exact.keys():
        raise SystemExit(f"EXACT is not the list of replaced cases: {sorted(Golden.replaced.keys() ^ exact.keys())}")
