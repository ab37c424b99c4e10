"""Writes golden files of `src/stats`: see golden.py."""

import bisect
import itertools
import math
from fractions import Fraction

import numpy
import pymannkendall
import scipy.stats
from mpmath import mpf, sqrt
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from golden import Z_95, Golden, finish, two_sided, words

LOGARITHMS = "SciPy's hypergeometric takes differences of logarithms of factorials, off by 1e-10 to 1e-9 with a million contacts"
COMPLEMENT = "pymannkendall takes 1 - cdf, which has no digits left under 1e-16"
# case -> why the library's number is not written
EXACT = {
    "wilson 0 of 7": "statsmodels leaves a rounding error where the end is 0",
    "fisher 2 199 450 999500": LOGARITHMS,
    "fisher 30 970 1200 1998800": LOGARITHMS,
    "fisher 3 2999997 9 900000": LOGARITHMS,
    "fisher 9 991 1991 998009": LOGARITHMS,
    "fisher 17 983 1983 998017": LOGARITHMS,
    "fisher 50 950 1950 998050": LOGARITHMS,
    "fisher 82 918 1918 998082": LOGARITHMS,
    "fisher 136 864 1864 998136": LOGARITHMS,
    "fisher 186 814 1814 998186": LOGARITHMS,
    "a hundred up": COMPLEMENT,
    "four hundred up": COMPLEMENT,
}


# --- shares -------------------------------------------------------------------------------------------------------------


def wilson():
    golden = Golden("wilson", ["case", "successes", "trials", "low", "high"])
    pairs = [(0, 1), (1, 1), (1, 2), (0, 7), (3, 7), (7, 7), (1, 30), (29, 30), (10, 100), (250, 1000), (1, 20_000)]
    pairs += [(0, 20_000), (19_999, 20_000), (20_000, 20_000), (12_345, 40_000), (3, 1_000_000), (777_777, 3_000_000)]
    for s, n in pairs:
        golden.case = f"wilson {s} of {n}"
        low, high = proportion_confint(s, n, alpha=0.05, method="wilson")
        half = Z_95 * sqrt(mpf(s) * (n - s) / n + Z_95**2 / 4)
        exact = [(s + Z_95**2 / 2 + side * half) / (n + Z_95**2) for side in (-1, 1)]
        if s == 0:
            exact[0] = mpf(0)
        golden.rows.append([golden.case, s, n, golden.expect(low, exact[0]), golden.expect(high, exact[1])])
    golden.write()


# --- two by two ---------------------------------------------------------------------------------------------------------

CELLS = ["members_with", "members_without", "others_with", "others_without"]


def exact_fisher(a, b, c, d):
    """All tables as probable as this one or less, with 1e-14 more still as probable; in whole numbers."""
    members, with_value, total = a + b, a + c, a + b + c + d
    low, high = max(0, members + with_value - total), min(members, with_value)
    weight = math.comb(members, low) * math.comb(total - members, with_value - low)
    weights = []
    for k in range(low, high + 1):
        weights.append(weight)
        weight = weight * (members - k) * (with_value - k) // ((k + 1) * (total - members - with_value + k + 1))
    limit = weights[a - low] * (10**14 + 1)
    return Fraction(sum(w for w in weights if w * 10**14 <= limit), sum(weights))


def least_expected(a, b, c, d):
    return Fraction(min(a + b, c + d) * min(a + c, b + d), a + b + c + d)


def first_under(cells_at, exact, steps, target):
    """The first of these tables, ever less probable, with p under 10^target; the last one when none is."""
    return cells_at(bisect.bisect_left(steps, True, key=lambda k: bool(exact(*cells_at(k)) < mpf(10) ** target)) + steps[0])


def fisher():
    golden = Golden("fisher", ["case", *CELLS, "p_value"])
    tables = [(3, 1, 1, 3), (0, 4, 4, 0), (2, 2, 2, 2), (1, 0, 0, 1), (0, 1, 3, 0), (8, 2, 1, 5), (1, 9, 7, 3), (7, 3, 2, 7)]
    # As probable as one on the other side, exactly.
    tables += [(1, 8, 7, 0), (6, 44, 2, 48), (2, 48, 6, 44), (7, 19_993, 1, 19_999), (8, 19_992, 0, 20_000), (9, 991, 0, 1000)]
    # Large groups.
    tables += [(4, 16, 3, 19_977), (0, 20, 300, 19_680), (5, 95, 40, 19_860), (1, 99, 60, 39_840), (20_000, 0, 19_991, 9)]
    tables += [(19_980, 20, 60, 3), (2, 199, 450, 999_500), (30, 970, 1_200, 1_998_800), (3, 2_999_997, 9, 900_000)]
    # Into the far tail.
    for members, others, with_value in [(60, 20_000, 200), (100, 39_900, 400), (1_000, 1_000_000, 2_000), (447, 39_553, 447)]:
        cells_at = lambda k: (k, members - k, with_value - k, others - with_value + k)
        exact = lambda *cells: mpf(exact_fisher(*cells).numerator) / exact_fisher(*cells).denominator
        steps = range(5, min(members, with_value))
        tables += [first_under(cells_at, exact, steps, target) for target in (-3, -10, -50, -100, -198, -298)]
    tables += [(447, 0, 0, 39_553), (400, 47, 47, 39_506)]
    for cells in dict.fromkeys(tables):
        assert least_expected(*cells) < 5, cells
        golden.case = "fisher " + " ".join(map(str, cells))
        library = scipy.stats.fisher_exact([cells[:2], cells[2:]]).pvalue
        golden.rows.append([golden.case, *cells, golden.expect(library, exact_fisher(*cells))])
    golden.write()


# --- many tests ---------------------------------------------------------------------------------------------------------


def benjamini_hochberg():
    golden = Golden("benjamini_hochberg", ["case", "p_values", "q_values"])
    random = numpy.random.default_rng(5)
    lists = {
        "one": [0.03],
        "two, the later lends its q": [0.04, 0.05],
        "with nulls": [0.8, None, 0.01, 0.03, None, 0.02],
        "nulls only": [None, None],
        "ties and ends": [1.0, 0.0, 0.5, 0.5, 0.01, 0.01, 1.0],
        "from 1e-200 on": [1e-200, 1e-150, 3e-199, 0.2, 1e-10, 0.9, 1e-200],
        "sixty": [float(p) for p in random.uniform(size=30) ** 4] + [float(p) for p in random.uniform(size=30)],
    }
    for golden.case, p_values in lists.items():
        tests = [p for p in p_values if p is not None]
        library = iter(multipletests(tests, method="fdr_bh")[1] if tests else [])
        ranked = sorted(Fraction(p) for p in tests)
        least_later, least = {}, Fraction(1)
        for rank, p in reversed(list(enumerate(ranked, 1))):
            least = min(least, p * len(ranked) / rank)
            least_later.setdefault(p, least)
        q_values = ["null" if p is None else golden.expect(next(library), least_later[Fraction(p)]) for p in p_values]
        p_values = ["null" if p is None else repr(p) for p in p_values]
        golden.rows.append([golden.case, " ".join(p_values), " ".join(q_values)])
    golden.write()


# --- ranks --------------------------------------------------------------------------------------------------------------


def exact_mann_whitney(tallies):
    members, others = sum(m for _, m, _ in tallies), sum(o for _, _, o in tallies)
    twice_u, below, total = 0, 0, members + others
    for _, m, o in tallies:
        twice_u += m * (2 * below + o)
        below += o
    tied = sum((m + o) ** 3 - (m + o) for _, m, o in tallies)
    pairs = members * others
    variance = Fraction(pairs * (total**3 - total - tied), 12 * total * (total - 1))
    z = max(mpf(0), (mpf(abs(twice_u - pairs)) - 1) / 2) / sqrt(mpf(variance.numerator) / variance.denominator)
    return Fraction(twice_u, 2), Fraction(twice_u - pairs, pairs), two_sided(z)


def shifted(random, count, shift, spread):
    """Two groups of `count` with whole values, one of them shifted, as tallies."""
    members = numpy.round(random.normal(shift, 1.0, count) * spread)
    others = numpy.round(random.normal(0.0, 1.0, count) * spread)
    values = numpy.unique(numpy.concatenate([members, others]))
    return [(float(v), int((members == v).sum()), int((others == v).sum())) for v in values]


def mann_whitney():
    golden = Golden("mann_whitney", ["case", "tallies", "u_members", "cliffs_delta", "p_value"])
    random = numpy.random.default_rng(11)
    samples = {
        "five with a tie": [(1.0, 0, 1), (2.0, 1, 0), (3.0, 2, 1)],
        "one each": [(1.5, 1, 0), (2.5, 0, 1)],
        "half a step from the middle": [(1.0, 1, 1), (2.0, 2, 1), (3.0, 1, 2)],
        "equal": [(1.0, 2, 2), (2.0, 5, 5)],
        "no ties": [(v, i % 3 == 0, i % 3 != 0) for i, v in enumerate([-3.25, -1.0, 0.0, 0.5, 2.0, 2.5, 7.0, 8.0, 11.0])],
        "nearly all tied": [(0.0, 19_990, 19_999), (1.0, 10, 1)],
        "few members": [(0.0, 1, 12_000), (1.0, 3, 5_000), (2.0, 6, 2_000), (5.0, 10, 1_000)],
    }
    # p from 0.6 over about 1e-13, 1e-61, 1e-97 and 1e-210 to next to nothing.
    for shift in (0.003, 0.065, 0.154, 0.219, 0.309, 0.346, 0.45):
        samples[f"20000 each, {shift} apart"] = shifted(random, 20_000, shift, 4)
    samples["20000 each, members smaller"] = [(v, o, m) for v, m, o in samples["20000 each, 0.219 apart"]]
    samples["1000000 each"] = [(v, 50 * m, 50 * o) for v, m, o in samples["20000 each, 0.003 apart"]]
    for golden.case, tallies in samples.items():
        tallies = [(v, int(m), int(o)) for v, m, o in tallies]
        values, members, others = (numpy.array(column) for column in zip(*tallies))
        x, y = numpy.repeat(values, members), numpy.repeat(values, others)
        library = scipy.stats.mannwhitneyu(x, y, alternative="two-sided", method="asymptotic", use_continuity=True)
        u, delta, p = exact_mann_whitney(tallies)
        golden.rows.append([
            golden.case,
            " ".join(f"{v!r}:{m}:{o}" for v, m, o in tallies),
            golden.expect(library.statistic, u),
            golden.expect(2 * library.statistic / (len(x) * len(y)) - 1, delta),
            golden.expect(library.pvalue, p),
        ])
    golden.write()


def location():
    golden = Golden("location", ["case", "tallies", "p10", "median", "p90", "p975", "mean"])
    samples = {
        "one": [(4.5, 1)],
        "two": [(1.0, 1), (2.0, 1)],
        "five with ties": [(1.0, 1), (2.0, 3), (10.0, 1)],
        "negative": [(-7.5, 2), (-1.25, 1), (0.1, 4), (3.0, 3), (1e6, 1)],
        "counts of conversations": [(0.0, 15_000), (1.0, 3_000), (2.0, 1_200), (3.0, 500), (7.0, 250), (40.0, 50)],
        "eleven": [(0.1 * i * i - 2.0, 1) for i in range(11)],
    }
    for golden.case, tallies in samples.items():
        values = [Fraction(v) for v, count in tallies for _ in range(count)]
        floats = numpy.repeat(*(numpy.array(column) for column in zip(*tallies)))

        def at(q):
            position = Fraction(str(q)) * (len(values) - 1)
            low = math.floor(position)
            return values[low] + (position - low) * (values[min(low + 1, len(values) - 1)] - values[low])

        golden.rows.append([
            golden.case,
            " ".join(f"{v!r}:{count}" for v, count in tallies),
            *(golden.expect(numpy.quantile(floats, q), at(q)) for q in (0.1, 0.5, 0.9, 0.975)),
            golden.expect(numpy.mean(floats), sum(values) / len(values)),
        ])
    golden.write()


# --- trends -------------------------------------------------------------------------------------------------------------


def theil_sen():
    golden = Golden("theil_sen", ["case", "x", "y", "slope"])
    random = numpy.random.default_rng(13)
    months = [float(24_300 + m) for m in range(12)]
    series = {
        "two points": ([1.0, 3.0], [5.0, 1.0]),
        "four, an even number of slopes": ([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 4.0, 2.0]),
        "twins in x": ([0.0, 1.0, 2.0, 2.0], [0.0, 1.0, 4.0, 10.0]),
        "flat": (months, [5.0] * 12),
        "a year of counts": (months, [1200.0, 1213.0, 1190.0, 1240.0, 1251.0, 1300.0, 900.0, 1322.0, 1340.0, 1333.0, 1360.0, 1401.0]),
        "a year of shares": (months, [float(v) for v in random.uniform(0, 0.1, 12)]),
        "gaps": ([24_300.0, 24_301.0, 24_305.0, 24_306.0, 24_311.0], [7.0, 9.0, 4.0, 4.0, 1.0]),
    }
    for golden.case, (x, y) in series.items():
        points = list(zip(map(Fraction, x), map(Fraction, y)))
        slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in itertools.combinations(points, 2) if x1 != x2)
        exact = (slopes[(len(slopes) - 1) // 2] + slopes[len(slopes) // 2]) / 2
        library = scipy.stats.theilslopes(numpy.array(y), numpy.array(x)).slope
        golden.rows.append([golden.case, words(x), words(y), golden.expect(library, exact)])
    golden.write()


def exact_signed_rank(changes):
    """All patterns of signs one by one up to 16 changes, and by the count of ways to each sum beyond."""
    changes = [c for c in changes if c != 0]
    sizes = [abs(c) for c in changes]
    ranks = [2 * sum(s < size for s in sizes) + sum(s == size for s in sizes) + 1 for size in sizes]
    observed = sum(r for r, c in zip(ranks, changes) if c > 0)
    if len(changes) <= 16:
        sums = [sum(pattern) for pattern in itertools.product(*((0, r) for r in ranks))]
        low, high = sum(s <= observed for s in sums), sum(s >= observed for s in sums)
    else:
        ways = {0: 1}
        for rank in ranks:
            for total, count in list(sorted(ways.items(), reverse=True)):
                ways[total + rank] = ways.get(total + rank, 0) + count
        low = sum(count for total, count in ways.items() if total <= observed)
        high = sum(count for total, count in ways.items() if total >= observed)
    return min(Fraction(1), Fraction(2 * min(low, high), 2 ** len(changes)))


def signed_rank():
    golden = Golden("signed_rank", ["case", "changes", "p_value"])
    random = numpy.random.default_rng(17)
    samples = {
        "three up": [1, 2, 3],
        "one down": [2, -1, 4, 3],
        "ties and a zero": [1, -1, 0, 5],
        "six, mixed": [3, -3, 3, 0, 0, 8, -2],
        "seven up by one": [1] * 7,
        "eleven with ties": [5, 5, -1, 2, 2, -2, 9, 0, 12, -1, 3, 7],
        "eleven without": [0.5, -1.5, 2.25, 3.0, 4.75, -5.0, 6.5, 7.0, 8.125, 9.0, 10.0],
        "sixteen, mostly down": [-4, -9, 3, -3, -11, -2, 1, -7, -7, -5, -6, 2, -8, -1, -12, -10],
        "sixty, beyond a scan of all": [int(v) for v in random.integers(-6, 12, 60)],
        "three hundred": [int(v) for v in random.integers(-10, 25, 300)],
        "six hundred up": [1] * 600,
    }
    for golden.case, changes in samples.items():
        nonzero = [c for c in changes if c != 0]
        exact = exact_signed_rank(changes)
        if len(nonzero) <= 16:
            every = scipy.stats.PermutationMethod(n_resamples=math.inf)
            library = scipy.stats.wilcoxon(numpy.array(changes, float), zero_method="wilcox", method=every).pvalue
        else:
            library = exact.numerator / exact.denominator
        golden.rows.append([golden.case, words(changes), golden.expect(library, exact)])
    golden.write()


def mann_kendall():
    golden = Golden("mann_kendall", ["case", "values", "p_value"])
    random = numpy.random.default_rng(19)
    samples = {
        "four up": [1, 2, 3, 4],
        "four with a tie": [1, 1, 2, 3],
        "all tied but one": [5, 5, 5, 5, 6],
        "seven down": [9, 8, 6, 5, 3, 2, 1],
        "no trend": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8],
        "a year of shares": [float(v) for v in numpy.round(random.uniform(0, 0.1, 12) + numpy.arange(12) * 0.01, 3)],
        "three years with ties": [int(v) for v in random.integers(0, 9, 36) + numpy.arange(36) // 6],
        "a hundred up": list(range(100)),
        "four hundred up": list(range(400)),
        "eight hundred up": list(range(800)),
    }
    for golden.case, values in samples.items():
        score = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
        ties = [values.count(v) for v in set(values)]
        eighteenfold = len(values) * (len(values) - 1) * (2 * len(values) + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)
        exact = two_sided(mpf(max(abs(score) - 1, 0)) / sqrt(mpf(eighteenfold) / 18))
        library = pymannkendall.original_test(values).p
        golden.rows.append([golden.case, words(values), golden.expect(library, exact)])
    golden.write()


for make in (
    wilson,
    fisher,
    benjamini_hochberg,
    mann_whitney,
    location,
    theil_sen,
    signed_rank,
    mann_kendall,
):
    make()

finish(EXACT)
