"""Fits the polynomials of src/simd/math/f32.rs and prints their coefficients, lowest power first.

Method: the Remez exchange for the minimax polynomial of the weighted error; then the coefficients are rounded to f32,
either all at once or one after the other with the rest fitted anew, whichever errs less. HALF_EXP, on which the
greatest error of tanh depends, is then improved by a random search (with a fixed seed) over coefficients some units in
the last place away, judged by the f32 function itself on every float of the interval where it errs most.

Needs mpmath and numpy. Takes a minute.
"""

import numpy as np
from mpmath import cos, exp, expm1, fabs, log, lu_solve, matrix, mp, mpf, pi, sqrt, tanh

mp.prec = 160
LN_2 = log(2)
TINY = mpf(10) ** -12


def f32(value):
    return mpf(float(np.float32(float(value))))


def value(coefficients, powers, x):
    return sum(c * x**p for c, p in zip(coefficients, powers))


def remez(function, weight, powers, low, high):
    """Minimises the greatest weight * |polynomial - function|."""
    points = len(powers) + 1
    node = lambda i, n: (low + high) / 2 - (high - low) / 2 * cos(pi * mpf(i) / n)
    xs = [node(2 * i + 1, 2 * points) for i in range(points)]
    grid = [node(i, 400) for i in range(401)]
    for _ in range(30):
        system, right = matrix(points, points), matrix(points, 1)
        for i, x in enumerate(xs):
            for j, p in enumerate(powers):
                system[i, j] = x**p
            system[i, len(powers)] = (-1) ** i / weight(x)
            right[i] = function(x)
        solution = lu_solve(system, right)
        coefficients = [solution[j] for j in range(len(powers))]
        extrema = []
        for x in grid:
            error = weight(x) * (value(coefficients, powers, x) - function(x))
            if extrema and (error > 0) == (extrema[-1][1] > 0):
                if fabs(error) > fabs(extrema[-1][1]):
                    extrema[-1] = (x, error)
            else:
                extrema.append((x, error))
        while len(extrema) > points:
            extrema.pop(0 if fabs(extrema[0][1]) < fabs(extrema[-1][1]) else -1)
        sizes = [fabs(error) for _, error in extrema]
        if len(extrema) < points or max(sizes) < mpf("1.001") * min(sizes):
            break
        xs = [x for x, _ in extrema]
    return coefficients


def fit(function, weight, terms, low, high):
    """The coefficients, rounded to f32."""
    low, high = mpf(low), mpf(high)
    floor = weight(high) / 500  # where the weight vanishes, the exchange needs a little
    bounded = lambda x: max(weight(x), floor)
    powers = list(range(terms))
    ideal = remez(function, bounded, powers, low, high)
    at_once = [f32(c) for c in ideal]
    one_by_one = []
    for p in powers:
        rest = lambda x: function(x) - value(one_by_one, powers, x)
        one_by_one.append(f32(remez(rest, bounded, powers[p:], low, high)[0]))
    grid = [low + (high - low) * i / 2000 for i in range(2001)]
    error = lambda c: max(fabs(bounded(x) * (value(c, powers, x) - function(x))) for x in grid)
    return [float(c) for c in min(at_once, one_by_one, key=error)]


def search(coefficients, reach, error, rounds):
    """Moves the coefficients by up to `reach` units in the last place, for as long as `error` falls."""
    random = np.random.default_rng(0)
    best = np.array(coefficients, np.float32)
    least = error(best)
    for _ in range(rounds):
        steps = random.integers(-np.array(reach), np.array(reach) + 1) * random.integers(0, 2, len(reach))
        trial = (best.view(np.int32) + steps.astype(np.int32)).view(np.float32)
        if (e := error(trial)) < least:
            best, least = trial, e
    print(f"    greatest error after the search: {least:.4f} ulp")
    return best


def fma(a, b, c):
    """Exact up to a rare second rounding."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def horner(coefficients, x):
    total = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = fma(total, x, np.float64(c))
    return total


def floats(low, high):
    bits = lambda x: int(np.float32(x).view(np.int32))
    return np.arange(bits(low), bits(high), dtype=np.int32).view(np.float32)


def show(name, coefficients):
    print(name, ", ".join(f"{c:.9g}" for c in coefficients))


def fit_exp():
    """(exp(r) - 1 - r) / r^2, so that the error of exp(r) is relative."""
    function = lambda r: (expm1(r) - r) / r**2 if fabs(r) > TINY else 1 / mpf(2) + r / 6
    end = LN_2 / 2 * mpf("1.0005")
    return fit(function, lambda r: r * r / exp(r), 5, -end, end)


THRESHOLD = 0.85  # tanh: below it, the odd polynomial
SCALE = 2.79  # tanh: k = round(SCALE * |x|)


def fit_half_exp():
    """((exp(2r) - 1) / 2 - r) / r^2, weighted by what an error does to 1 - 2 / (exp(2x) + 1) at x = r + k ln(2) / 2."""
    function = lambda r: (expm1(2 * r) / 2 - r) / r**2 if fabs(r) > TINY else 1 + r * 2 / 3

    def weight(r):
        found = mpf(0)
        for k in range(1, 8):
            x = r + k * LN_2 / 2
            if x > THRESHOLD - 0.05 and fabs(x * SCALE - k) < 0.502:
                found = max(found, 4 * mpf(2) ** k / (exp(2 * x) + 1) ** 2)
        return r * r * found

    start = fit(function, lambda r: max(weight(r), weight(mpf("0.14")) / 200), 5, mpf("-0.1442"), "0.24")
    xs = floats(THRESHOLD, 1.0)
    exact = np.tanh(xs.astype(np.float64))

    def error(coefficients):
        k = np.rint(xs.astype(np.float64) * np.float32(SCALE)).astype(np.float32)
        r = fma(k, -np.float64(np.float32(np.log(2) / 2)), xs)
        w = fma(r * r, horner(coefficients, r), r)
        s = np.exp2(k)
        denominator = fma(s, w, fma(s, np.float64(0.5), 0.5))
        return np.abs((1 - 1 / denominator) - exact).max() * 2.0**24

    return search(start, [4, 12, 200, 3000, 40000], error, 500)


def fit_tanh():
    """(tanh(x) - x) / x^3 of y = x^2, so that the error of tanh(x) is relative."""
    function = lambda y: (tanh(sqrt(y)) / sqrt(y) - 1) / y if y > TINY else -1 / mpf(3) + y * 2 / 15
    weight = lambda y: y * sqrt(y) / tanh(sqrt(y)) if y > 0 else mpf(0)
    return fit(function, weight, 6, 0, mpf(THRESHOLD) ** 2)


def fit_ln():
    """(ln(1 + f) - f + f^2 / 2) / f^3, so that the error of ln(1 + f) is relative."""
    function = lambda f: (log(1 + f) - f + f * f / 2) / f**3 if fabs(f) > TINY else 1 / mpf(3) - f / 4
    weight = lambda f: fabs(f**3 / log(1 + f)) if fabs(f) > TINY else mpf(0)
    return fit(function, weight, 8, sqrt(mpf(1) / 2) - 1 - mpf("1e-6"), sqrt(mpf(2)) - 1 + mpf("1e-6"))


show("EXP", fit_exp())
show("HALF_EXP", fit_half_exp())
show("TANH", fit_tanh())
show("LN", fit_ln())
