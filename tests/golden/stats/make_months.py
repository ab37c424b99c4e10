"""Writes golden files of `src/stats`: see golden.py. Here: what is said of months, and the distributions behind it."""

import itertools
import math
import warnings
from fractions import Fraction

import numpy
import pandas
import scipy.stats
import statsmodels.api
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from mpmath import betainc, exp, log, mp, mpf, sqrt
from statsmodels.duration.survfunc import survdiff
from statsmodels.stats.proportion import proportion_confint

from golden import Z_95, Golden, finish, number, two_sided, words

# case -> why the library's number is not written
EXACT = {}


# --- distributions ------------------------------------------------------------------------------------------------------


def student_tail(t, df):
    return betainc(mpf(df) / 2, mpf("0.5"), 0, mpf(df) / (mpf(df) + mpf(t) ** 2), regularized=True)


def reach_95(df):
    """The t with P(|T| >= t) = 0.05, by bisection from what SciPy says."""
    near = mpf(float(scipy.stats.t.isf(0.025, float(df))))
    low, high = near * (1 - mpf(10) ** -8), near * (1 + mpf(10) ** -8)
    assert student_tail(low, df) > mpf("0.05") > student_tail(high, df)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, df) > mpf("0.05") else (low, middle)
    return low


def normal():
    golden = Golden("normal", ["case", "alpha", "z"])
    for alpha in (0.9999, 0.9, 0.5, 0.1, 0.05, 0.05 / 3, 0.01, 0.05 * 7 / 4_000, 1e-6, 0.05 / 12_345, 1e-12, 1e-40, 1e-290):
        golden.case = f"alpha {alpha}"
        exact = mp.findroot(lambda z: log(two_sided(z)) - log(mpf(alpha)), mpf(float(scipy.stats.norm.isf(alpha / 2))))
        golden.rows.append([golden.case, repr(alpha), golden.expect(scipy.stats.norm.isf(alpha / 2), exact)])
    golden.write()


def student():
    golden = Golden("student", ["case", "t", "df", "p_value", "reach_95"])
    for df in (1.0, 1.5, 2.0, 3.7, 5.0, 11.0, 12.25, 29.0, 119.0, 118.7, 997.3, 20_000.0, 250_000.0, 39_998.123):
        for t in (0.01, 0.6, 1.7, 1.8, 2.2, 4.0, 11.0, 35.0):
            golden.case = f"t {t} with {df}"
            p = golden.expect(2 * scipy.stats.t.sf(t, df), student_tail(t, df))
            golden.rows.append([golden.case, t, df, p, golden.expect(scipy.stats.t.isf(0.025, df), reach_95(df))])
    golden.write()


# --- survival -----------------------------------------------------------------------------------------------------------


def life_table():
    golden = Golden("life_table", ["case", "at_risk", "departed", "survival", "low", "high"])
    random = numpy.random.default_rng(23)
    tables = {
        "eight members in six snapshots": [(5, 1), (3, 1), (1, 0), (1, 0), (2, 1)],
        "nobody departs": [(7, 0), (3, 0), (12, 0)],
        "nobody departs at first": [(7, 0), (3, 0), (12, 1), (4, 2)],
        "all depart at once": [(4, 4)],
        "all depart in the end": [(20, 5), (13, 1), (9, 9), (2, 0)],
        "one of a million": [(1_000_000, 1), (700_000, 0), (900_000, 2)],
        "three years with late entries": [(n := int(4_000 * 0.9**k) + int(random.poisson(50)), int(random.binomial(n, 0.12))) for k in range(36)],
    }
    for golden.case, counts in tables.items():
        entries, durations, events, weights = [], [], [], []
        # lifelines refuses a moment in which nobody is there: it fits until all have departed.
        for k, (n, d) in enumerate(itertools.takewhile(lambda count: count[1] < count[0], counts), 1):
            # An episode a month: who comes in the month before comes late in it, and who stays leaves early in the next.
            for duration, event, weight in ((k, 1, d), (k + 0.25, 0, n - d)):
                if weight:
                    entries.append(k - 0.9), durations.append(duration), events.append(event), weights.append(weight)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitter = KaplanMeierFitter().fit(durations, events, entry=entries, weights=weights) if weights else None
        survival, greenwood, effective = Fraction(1), Fraction(0), None
        for k, (n, d) in enumerate(counts, 1):
            survival *= Fraction(n - d, n)
            greenwood += Fraction(d, n * (n - d)) if d < n else 0
            if survival == 1:
                effective = Fraction(n) if effective is None else min(effective, Fraction(n))
            elif survival > 0:
                effective = (1 - survival) / (survival * greenwood)
            effective = Fraction(n) if effective is None else effective
            s, e = number(survival), number(effective)
            half = Z_95 * sqrt(s * (1 - s) / e + Z_95**2 / (4 * e**2))
            centre = s + Z_95**2 / (2 * e)
            exact = [(centre + side * half) / (1 + Z_95**2 / e) for side in (-1, 1)]
            exact = [mpf(0) if survival == 0 else exact[0], mpf(1) if survival == 1 else exact[1]]
            low, high = proportion_confint(float(survival * effective), float(effective), method="wilson")
            library_survival = fitter.survival_function_.loc[: k + 0.1].iloc[-1, 0] if survival else 0.0
            expected = [(library_survival, survival), (low, exact[0]), (high, exact[1])]
            golden.rows.append([golden.case, n, d, *(golden.expect(*pair) for pair in expected)])
    golden.write()


def episodes(cells):
    """(start, stop, event, entry month), once for each contact, of the unbroken members of a triangle."""
    for (entry, age), before in cells.items():
        if (entry, age + 1) in cells:
            after = cells[entry, age + 1]
            yield from itertools.repeat((age + 0.5, age + 1, 1, entry), before - after)
            yield from itertools.repeat((age + 0.5, age + 1.25, 0, entry), after)


def log_rank():
    columns = ["case", "months", "now", "cells", "recent_entrants", "earlier_entrants", "recent_departed", "earlier_departed"]
    golden = Golden("log_rank", [*columns, "recent_expected", "hazard_ratio", "low", "high", "p_value"])
    random = numpy.random.default_rng(29)
    year = list(range(1, 13))
    samples = {
        "alike": (year, 40, 0.2, 0.2),
        "newer ones stay": (year, 60, 0.45, 0.2),
        "newer ones go": (year, 60, 0.1, 0.5),
        "two years": (list(range(1, 25)), 25, 0.2, 0.3),
        "a gap": ([1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12], 50, 0.2, 0.35),
        "a gap among the last": ([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12], 50, 0.2, 0.35),
        "far apart": (year, 3_000, 0.05, 0.3),
    }
    for golden.case, (months, entrants, earlier_hazard, recent_hazard) in samples.items():
        now = months[-1]
        recent_months = [m for m in months if m < now][-3:]
        cells = {}
        for entry in months:
            if entry - 1 not in months:
                continue
            hazard = recent_hazard if entry in recent_months else earlier_hazard
            left = int(random.poisson(entrants))
            for month in range(entry, now + 1):
                left -= int(random.binomial(left, hazard)) if month > entry else 0
                if month in months:
                    cells[entry, month - entry] = left
        judged = {cell: left for cell, left in cells.items() if cell[0] < now}
        starts, stops, events, entries = (numpy.array(column) for column in zip(*episodes(judged)))
        is_recent = numpy.isin(entries, recent_months)
        # Of contacts in one episode a month, which is what makes late entries of gaps.
        chi2, _ = survdiff(stops, events, is_recent, entry=starts)
        if len(months) == now:
            # Of whole spells, where nothing is late.
            spells = []
            for entry in {entry for entry, _ in judged}:
                ages = [age for e, age in judged if e == entry]
                for age in ages[1:]:
                    spells += [(age, 1, entry)] * (judged[entry, age - 1] - judged[entry, age])
                spells += [(ages[-1], 0, entry)] * judged[entry, ages[-1]]
            spells = pandas.DataFrame([spell for spell in spells if spell[0] > 0], columns=["stop", "event", "entry"])
            recent = spells.entry.isin(recent_months)
            other = logrank_test(spells.stop[recent], spells.stop[~recent], spells.event[recent], spells.event[~recent]).test_statistic
            assert math.isclose(other, chi2, rel_tol=1e-9), (other, chi2)

        observed, expected, variance = [0, 0], [Fraction(0), Fraction(0)], Fraction(0)
        for k in range(1, now):
            n, d = [0, 0], [0, 0]
            for (entry, age), left in judged.items():
                if age == k - 1 and (entry, k) in judged:
                    part = int(entry not in recent_months)
                    n[part] += left
                    d[part] += left - judged[entry, k]
            if sum(n) == 0:
                break
            for part in (0, 1):
                observed[part] += d[part]
                expected[part] += Fraction(sum(d) * n[part], sum(n))
            if sum(n) > 1:
                variance += Fraction(sum(d) * n[0] * n[1] * (sum(n) - sum(d)), sum(n) ** 2 * (sum(n) - 1))
        p = two_sided(number(observed[0] - expected[0]) / sqrt(number(variance)))
        ratio = number(observed[0] / expected[0] / (observed[1] / expected[1]))
        reach = exp(mpf("1.96") * sqrt(number(1 / expected[0] + 1 / expected[1])))
        entered = [sum(left for (entry, age), left in judged.items() if age == 0 and (entry in recent_months) == recent) for recent in (True, False)]
        golden.rows.append([
            golden.case,
            words(months),
            now,
            " ".join(f"{entry}:{age}:{left}" for (entry, age), left in cells.items()),
            *entered,
            *observed,
            *(repr(float(exact)) for exact in (number(expected[0]), ratio, ratio / reach, ratio * reach)),
            # Not its p, which is 1 - cdf.
            golden.expect(scipy.stats.chi2.sf(chi2, 1), p),
        ])
    golden.write()


# --- what earlier months let expect -------------------------------------------------------------------------------------


def expectation():
    columns = ["case", "measure", "months", "values", "now", "expected", "low", "high", "p_value"]
    golden = Golden("expectation", columns)
    random = numpy.random.default_rng(31)
    level = lambda count, spread: [int(v) for v in numpy.cumsum(random.normal(3, spread, count)) + 500]
    counts = lambda count, mean: [int(v) for v in random.poisson(mean, count)]
    samples = {
        "one earlier value": ("flow", [1, 2], [7, 9]),
        "six earlier values": ("flow", range(1, 8), counts(7, 30)),
        "twelve earlier values": ("flow", range(1, 14), counts(13, 30)),
        "a shock of flows": ("flow", range(1, 26), [*counts(24, 90), 424]),
        "flows with gaps": ("flow", [m for m in range(1, 30) if m % 7], counts(25, 12)),
        "shares": ("flow", range(1, 20), [float(v) for v in random.uniform(0, 0.1, 19)]),
        "two values of a stock": ("stock", [1, 2, 3], [100, 120, 121]),
        "seven changes": ("stock", range(1, 9), level(8, 9)),
        "thirteen changes": ("stock", range(1, 15), level(14, 9)),
        "a shock of stocks": ("stock", range(1, 26), [*level(24, 5), 300]),
        "stocks with gaps": ("stock", [m for m in range(1, 40) if m % 7], level(34, 9)),
        "shares of a stock": ("stock", range(1, 20), [float(v) for v in random.uniform(0.4, 0.5, 19)]),
        "large and steady": ("stock", range(1, 20), [10_000_000 + v for v in level(19, 2)]),
    }
    for golden.case, (measure, months, values) in samples.items():
        series = dict(zip(months, values))
        now = max(series)
        if measure == "stock":
            sample = {m: Fraction(v) - Fraction(series[m - 1]) for m, v in series.items() if m - 1 in series}
            base = Fraction(series[now - 1])
        else:
            sample, base = {m: Fraction(v) for m, v in series.items()}, Fraction(0)
        earlier = [v for m, v in sample.items() if m < now]
        n, mean = len(earlier), sum(earlier) / len(earlier)
        floats = numpy.array([float(v) for v in earlier])
        row = [golden.expect(float(base) + floats.mean(), base + mean), "", "", ""]
        if n >= 6:
            s = sqrt(number(sum((v - mean) ** 2 for v in earlier) / (n - 1)) * (1 + mpf(1) / n))
            t = reach_95(n - 1)
            fit = statsmodels.api.OLS(floats, numpy.ones(n)).fit().get_prediction([[1.0]])
            library = float(base) + fit.conf_int(obs=True)[0]
            row[1] = golden.expect(library[0], number(base + mean) - t * s)
            row[2] = golden.expect(library[1], number(base + mean) + t * s)
        if n >= 12:
            distance = (float(sample[now]) - fit.predicted_mean[0]) / fit.se_obs[0]
            row[3] = golden.expect(2 * scipy.stats.t.sf(abs(distance), n - 1), student_tail(number(sample[now] - mean) / s, n - 1))
        golden.rows.append([golden.case, measure, words(series), words(series.values()), now, *row])
    golden.write()


if __name__ == "__main__":
    for make in (normal, student, life_table, log_rank, expectation):
        make()
    finish(EXACT)
