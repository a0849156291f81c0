/* Written by make_cka_golden.py with numpy; do not edit. */
static const struct {
    size_t n, p, q;
    double cka;
} golden_cka[] = {
    {5, 3, 4, 0.884220102631937},
    {12, 7, 2, 0.662924950797984},
    {40, 100, 60, 0.301324059759935},
};
