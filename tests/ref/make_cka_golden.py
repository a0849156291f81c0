#!/usr/bin/env python3
"""Writes tests/ref/cka_golden.h: linear CKA by the unbiased estimate of HSIC, in numpy, of features
that follow from a formula which the test repeats. Needs numpy; the tests need only the header."""
import pathlib

import numpy as np

SHAPES = [(5, 3, 4), (12, 7, 2), (40, 100, 60)]  # samples, features of x and of y


def features(n, p, phase):
    i, k = np.meshgrid(np.arange(n), np.arange(p), indexing="ij")
    return np.float32(np.sin(phase + 1.3 * i + 0.7 * k + 0.01 * i * k * k)).astype(np.float64)


def hsic(k, l):
    n = len(k)
    k, l = k.copy(), l.copy()
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    ones = np.ones(n)
    return (np.trace(k @ l) + ones @ k @ ones * (ones @ l @ ones) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * ones @ k @ l @ ones) / (n * (n - 3))


def cka(x, y):
    k, l = x @ x.T, y @ y.T
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


def main():
    rows = [f"    {{{n}, {p}, {q}, {cka(features(n, p, 0.2), features(n, q, 0.9)):.15g}}},"
            for n, p, q in SHAPES]
    text = "\n".join(["/* Written by make_cka_golden.py with numpy; do not edit. */",
                      "static const struct {", "    size_t n, p, q;", "    double cka;",
                      "} golden_cka[] = {", *rows, "};", ""])
    pathlib.Path(__file__).with_name("cka_golden.h").write_text(text)


main()
