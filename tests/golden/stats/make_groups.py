"""Writes golden files of `src/stats`: see golden.py. Here: members and others compared within strata, and by ranks."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy
import scipy.stats
from mpmath import exp, mpf, sqrt
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2

from golden import Z_95, Golden, finish, number, two_sided
from make_months import reach_95

# case -> why the library's number is not written
EXACT = {}


def text(strata):
    return " ".join(":".join(map(str, cells)) for cells in strata)


# --- strata -------------------------------------------------------------------------------------------------------------


def sums(strata):
    return [sum(column) for column in zip(*strata)]


def least_expected(strata):
    expected = [0, 0, 0, 0]
    for a, b, c, d in strata:
        for i, (row, column) in enumerate([(a + b, a + c), (a + b, b + d), (c + d, a + c), (c + d, b + d)]):
            # Where a group is empty nothing is compared.
            expected[i] += Fraction(row * column, a + b + c + d) if (a + b) * (c + d) else 0
    return min(expected)


def mantel_haenszel():
    columns = ["case", "strata", "risk_ratio", "risk_low", "risk_high", "odds_ratio", "odds_low", "odds_high"]
    golden = Golden("mantel_haenszel", columns)
    samples = [
        [(6, 2, 1, 3)], [(12, 5, 9, 30)], [(100, 900, 150, 850)], [(7, 93, 3_000, 36_900)], [(1_500, 1_998_500, 1_200, 2_998_800)],
        # Everybody, and nobody.
        [(5, 0, 7, 0)], [(0, 5, 0, 70)], [(0, 5, 0, 70), (0, 3, 0, 9)], [(5, 0, 70, 0), (4, 0, 1, 0)],
        [(6, 2, 1, 3), (3, 4, 2, 9)], [(40, 160, 300, 4_500), (9, 21, 50, 420)], [(5, 20, 3, 40), (0, 7, 1, 20)],
        # A stratum that tells nothing, and strata that contradict.
        [(12, 5, 9, 30), (4, 6, 0, 0)], [(12, 5, 9, 30), (0, 0, 0, 0)], [(30, 10, 10, 30), (10, 30, 30, 10)],
        [(900, 100, 2_000, 400), (3, 97, 20, 4_000)], [(1, 1, 1, 1), (1, 2, 3, 4), (5, 9, 2, 8)],
        [(30_000, 400_000, 20_000, 700_000), (11, 9_000, 7, 8_000)],
    ]
    for strata in samples:
        golden.case = text(strata)
        a, b, c, d = sums(strata)
        shift = 0.5 if 0 in (a + c, b + d) else 0.0
        tables = [numpy.array([[a, b], [c, d]]) + shift for a, b, c, d in strata if a + b + c + d + shift > 0]
        library = StratifiedTable(tables, shift_zeros=False)
        odds = [library.oddsratio_pooled, *library.oddsratio_pooled_confint(0.05)]
        r = s = v = mpf(0)
        agree = differ = pr = psqr = qs = mpf(0)
        for table in tables:
            a, b, c, d = (mpf(cell) for cell in table.ravel())
            n = a + b + c + d
            r += a * (c + d) / n
            s += c * (a + b) / n
            v += ((a + b) * (c + d) * (a + c) - a * c * n) / n**2
            agree += a * d / n
            differ += b * c / n
            pr += (a + d) / n * (a * d / n)
            psqr += (a + d) / n * (b * c / n) + (b + c) / n * (a * d / n)
            qs += (b + c) / n * (b * c / n)
        reach = exp(Z_95 * sqrt(v / (r * s)))
        risk = [library.riskratio_pooled, None, None]
        if len(tables) == 1:
            # Katz; statsmodels has no interval of a pooled risk ratio.
            risk = [library.riskratio_pooled, *Table2x2(tables[0], shift_zeros=False).riskratio_confint(0.05)]
        exact = [r / s, r / s / reach, r / s * reach]
        reach = exp(Z_95 * sqrt(pr / (2 * agree**2) + psqr / (2 * agree * differ) + qs / (2 * differ**2)))
        exact += [agree / differ, agree / differ / reach, agree / differ * reach]
        pairs = zip(risk + odds, exact)
        golden.rows.append([golden.case, text(strata), *(golden.expect(*pair) if pair[0] is not None else repr(float(pair[1])) for pair in pairs)])
    golden.write()


def cochran_mantel_haenszel():
    golden = Golden("cochran_mantel_haenszel", ["case", "strata", "p_value"])
    samples = [
        [(8, 2, 2, 8)], [(12, 5, 9, 30)], [(100, 900, 150, 850)], [(500_000, 500_000, 501_000, 499_000)], [(12_000, 8_000, 2_000, 18_000)],
        [(10, 10, 10, 10)], [(40, 160, 300, 4_500), (9, 21, 50, 420)], [(30, 10, 10, 30), (10, 30, 30, 10)],
        [(900, 100, 2_000, 400), (3, 97, 20, 4_000)], [(12, 5, 9, 30), (4, 6, 0, 0)], [(12, 5, 9, 30), (0, 0, 0, 0)],
        [(30_000, 400_000, 20_000, 700_000), (11, 9_000, 7, 8_000)], [(200, 800, 20, 1_900), (70, 30, 50, 450)],
        # Expected 5 in all, and so in no cell under 5: 10 · 5 / 20 twice.
        [(4, 6, 1, 9), (4, 6, 1, 9)], [(4, 11, 1, 14), (4, 6, 1, 9), (1, 0, 0, 5)],
    ]
    for strata in samples:
        golden.case = text(strata)
        assert least_expected(strata) >= 5, golden.case
        tables = [numpy.array([[a, b], [c, d]]) for a, b, c, d in strata if (a + b) * (c + d)]
        library = StratifiedTable(tables).test_null_odds(correction=False)
        difference = variance = Fraction(0)
        for a, b, c, d in strata:
            n = a + b + c + d
            if n > 1:
                difference += a - Fraction((a + b) * (a + c), n)
                variance += Fraction((a + b) * (c + d) * (a + c) * (b + d), n * n * (n - 1))
        p = two_sided(number(difference) / sqrt(number(variance)))
        # Not its p, which is 1 - cdf.
        golden.rows.append([golden.case, text(strata), golden.expect(scipy.stats.chi2.sf(library.statistic, 1), p)])
    golden.write()


def ways(a, b, c, d):
    """How many ways there are to each number of members with the value."""
    members, others, with_value = a + b, c + d, a + c
    return {k: math.comb(members, k) * math.comb(others, with_value - k) for k in range(max(0, with_value - others), min(members, with_value) + 1)}


def exact_test():
    golden = Golden("exact_strata", ["case", "strata", "p_value"])
    samples = [
        [(3, 1, 1, 3)], [(1, 9, 7, 3)], [(4, 16, 3, 19_977)],
        [(3, 1, 1, 3), (2, 1, 0, 4)], [(2, 8, 1, 9), (2, 8, 1, 9)], [(0, 10, 3, 7), (0, 10, 3, 7)], [(4, 6, 1, 9), (2, 6, 1, 9)],
        [(7, 93, 3, 900), (1, 20, 2, 300)], [(5, 45, 3, 1_900), (0, 40, 9, 450)], [(0, 60, 4, 900), (6, 14, 1, 80)],
        # As probable as one on the other side, exactly.
        [(6, 44, 2, 48), (1, 9, 0, 10)], [(1, 19, 4, 16), (0, 28, 3, 25)],
        # A stratum that tells nothing.
        [(4, 16, 3, 1_900), (5, 1, 0, 0)], [(4, 16, 3, 1_900), (0, 8, 0, 90)],
        # Rare among many, and into the far tail.
        [(9, 991, 1_990, 998_009), (0, 30, 40, 20_000)], [(25, 300, 60, 39_000), (9, 100, 20, 8_000)],
        [(60, 140, 90, 39_000), (9, 40, 20, 8_000)], [(100, 5, 100, 39_000), (30, 1, 40, 8_000)],
        [(160, 5, 140, 39_000), (60, 1, 40, 8_000)],
        [(3, 2, 1, 8), (1, 3, 0, 4), (2, 2, 1, 5)],
    ]
    for strata in samples:
        golden.case = text(strata)
        assert least_expected(strata) < 5, golden.case
        strata_ways = [ways(*cells) for cells in strata]
        together = Counter()
        # Every pattern of tables, one by one.
        for pattern in itertools.product(*(of.items() for of in strata_ways)):
            together[sum(k for k, _ in pattern)] += math.prod(count for _, count in pattern)
        limit = together[sums(strata)[0]] * (10**14 + 1)
        exact = Fraction(sum(count for count in together.values() if count * 10**14 <= limit), sum(together.values()))
        library = exact.numerator / exact.denominator
        if len(strata) == 1:
            library = scipy.stats.fisher_exact([strata[0][:2], strata[0][2:]]).pvalue
        golden.rows.append([golden.case, text(strata), golden.expect(library, exact)])
    golden.write()


# --- ranks --------------------------------------------------------------------------------------------------------------


def brunner_munzel():
    golden = Golden("brunner_munzel", ["case", "tallies", "low", "high"])
    random = numpy.random.default_rng(37)

    def drawn(members, others, shift, spread):
        x, y = numpy.round(random.normal(shift, spread, members), 1) + 0.0, numpy.round(random.normal(0, 1, others), 1) + 0.0
        return [(float(v), int((x == v).sum()), int((y == v).sum())) for v in numpy.unique(numpy.concatenate([x, y]))]

    samples = {
        "two each": [(1.0, 1, 0), (2.0, 0, 1), (3.0, 1, 0), (4.0, 0, 1)],
        "five with a tie": [(1.0, 0, 1), (2.0, 1, 0), (3.0, 2, 1)],
        "no ties": [(v, int(i % 3 == 0), int(i % 3 != 0)) for i, v in enumerate([-3.25, -1.0, 0.0, 0.5, 2.0, 2.5, 7.0, 8.0, 11.0])],
        "cut at 1": [(1.0, 0, 5), (2.0, 1, 4), (3.0, 9, 0)],
        "few members": [(0.0, 1, 12_000), (1.0, 3, 5_000), (2.0, 6, 2_000), (5.0, 10, 1_000)],
        "nearly all tied": [(0.0, 19_990, 19_999), (1.0, 10, 1)],
        "thirty and forty": drawn(30, 40, 0.5, 2),
        "two hundred and five thousand": drawn(200, 5_000, -0.2, 0.5),
        "twenty thousand each": drawn(20_000, 20_000, 0.02, 1.3),
    }
    for golden.case, tallies in samples.items():
        values, members, others = (numpy.array(column) for column in zip(*tallies))
        x, y = numpy.repeat(values, members), numpy.repeat(values, others)
        m, o = len(x), len(y)

        def placed(own, other):
            """The sum and the variance of the placements of one group within the other, in whole numbers."""
            below, placements = 0, []
            for k, l in zip(own, other):
                placements.append((int(k), Fraction(2 * below + int(l), 2)))
                below += int(l)
            n = sum(k for k, _ in placements)
            mean = sum(k * p for k, p in placements) / n
            return n * mean, sum(k * (p - mean) ** 2 for k, p in placements) / (n - 1)

        u, of_members = placed(members, others)
        _, of_others = placed(others, members)
        variance = of_members / (m * o * o) + of_others / (o * m * m)
        degrees = (m * of_members + o * of_others) ** 2 / ((m * of_members) ** 2 / (m - 1) + (o * of_others) ** 2 / (o - 1))
        # SciPy gives the statistic: of the larger among the second group, in its errors.
        statistic = scipy.stats.brunnermunzel(x, y).statistic
        delta = 2 * u / (m * o) - 1
        if delta:
            assert math.isclose(-statistic, float(number(delta) / 2 / sqrt(number(variance))), rel_tol=1e-9), golden.case
        reach = 2 * reach_95(number(degrees)) * sqrt(number(variance))
        library_error = abs(float(delta) / 2 / statistic) if delta else float(sqrt(number(variance)))
        library_reach = 2 * scipy.stats.t.isf(0.025, float(degrees)) * library_error
        cut = lambda end: max(-1.0, min(1.0, end))
        ends = [(cut(float(delta) + side * library_reach), cut(number(delta) + side * reach)) for side in (-1, 1)]
        golden.rows.append([golden.case, " ".join(f"{v!r}:{k}:{l}" for v, k, l in tallies), *(golden.expect(a, mpf(b)) for a, b in ends)])
    golden.write()


if __name__ == "__main__":
    for make in (mantel_haenszel, cochran_mantel_haenszel, exact_test, brunner_munzel):
        make()
    finish(EXACT)
