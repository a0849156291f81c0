#!/usr/bin/env python3
"""Writes tests/ref/statistics_golden.h: SciPy's answers for random and degenerate samples.

    python tests/ref/make_statistics_golden.py > tests/ref/statistics_golden.h

Needs NumPy and SciPy."""
import numpy as np
from scipy import stats


def samples():
    rng = np.random.default_rng(7)
    for n in (2, 3, 5, 8, 12, 18, 24, 60):
        a = rng.normal(0.7, 0.1, n)
        yield f"normal {n}", a, a + rng.normal(0.03, 0.05, n)
    for n in (4, 9, 15):  # ties and zeros
        a = rng.integers(0, 6, n) / 4
        yield f"ties {n}", a, rng.integers(0, 6, n) / 4
    yield "equal differences", np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.5, 2.5])
    yield "no difference", np.array([1.0, 2.0]), np.array([1.0, 2.0])
    yield "far apart", np.arange(1.0, 11) + 100, np.sqrt(np.arange(1.0, 11))
    a = rng.normal(0, 1, 70)
    yield "ties 70", np.round(a, 1), np.round(a + rng.normal(0.2, 0.5, 70), 1)


def number(x):
    x = float(x)
    return "NAN" if np.isnan(x) else ("INFINITY" if x > 0 else "-INFINITY") if np.isinf(x) else repr(x)


def wilcoxon(a, b):
    d = a - b
    d = d[d != 0]
    if len(d) == 0:
        return np.nan, np.nan
    if len(d) > 50:
        r = stats.wilcoxon(d, correction=False, method="approx")
    elif len(set(np.abs(d))) == len(d):
        r = stats.wilcoxon(d, method="exact")
    else:  # the exact distribution given the ties, by counting
        ranks = (2 * stats.rankdata(np.abs(d))).astype(int)
        ways = np.zeros(ranks.sum() + 1)
        ways[0] = 1
        for rank in ranks:
            ways[rank:] += ways[:-rank].copy()
        w = min(ranks[d > 0].sum(), ranks[d < 0].sum())
        return w / 2, min(1.0, 2 * ways[:w + 1].sum() / 2.0 ** len(d))
    return r.statistic, r.pvalue


def permutation(a, b):
    if len(a) > 12:
        return np.nan
    r = stats.permutation_test((a, b), lambda x, y, axis: np.mean(x - y, axis=axis), vectorized=True,
                               permutation_type="samples", n_resamples=np.inf)
    return r.pvalue


print("/* By tests/ref/make_statistics_golden.py, from SciPy. permutation NAN: not compared. */")
print("#include <math.h>\n#include <stddef.h>\n")
print("typedef struct statistics_case {\n    const char *name;\n    size_t n;\n    const double *a, *b;")
print("    double mean, sd, median, t, t_p, w, w_p, permutation_p;\n} statistics_case;\n")
rows = []
np.seterr(all="ignore")
for k, (name, a, b) in enumerate(samples()):
    for which, x in (("a", a), ("b", b)):
        print(f"static const double {which}_{k}[] = {{{', '.join(repr(float(v)) for v in x)}}};")
    t = stats.ttest_rel(a, b)
    w = wilcoxon(a, b)
    values = [a.mean(), a.std(ddof=1), np.median(a), t.statistic, t.pvalue, *w, permutation(a, b)]
    rows.append(f'    {{"{name}", {len(a)}, a_{k}, b_{k}, {", ".join(map(number, values))}}},')
print("static const statistics_case statistics_cases[] = {\n" + "\n".join(rows) + "\n};\n")
print("/* t, df, P(T <= t) */\nstatic const double student_cases[][3] = {")
for t, df in [(0, 1), (1, 1), (-2.5, 2), (12.7, 1), (0.3, 9), (-40, 5), (2, 100), (1e-3, 3), (5, 1000)]:
    print(f"    {{{t}, {df}, {number(stats.t.cdf(t, df))}}},")
print("};\n")
p = [0.01, 0.04, 0.03, 0.005, 0.5, 0.9]
adjusted = []
order = np.argsort(p)
worst = 0
holm = [0.0] * len(p)
for k, i in enumerate(order):
    worst = max(worst, min(1, p[i] * (len(p) - k)))
    holm[i] = worst
print(f"static const double holm_p[] = {{{', '.join(map(repr, p))}}};")
print(f"static const double holm_adjusted[] = {{{', '.join(repr(float(v)) for v in holm)}}};")
