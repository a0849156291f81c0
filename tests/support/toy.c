/* support/toy.c: see toy.h. */
#include "support/toy.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/linear.h"

const double toy_starts[TOY_STARTS][2] = {{-8.5, 7.5}, {-8.5, -5}, {9, 9}, {0, 0}, {10, -8}};

void toy_losses(const double x[2], double loss[2], double g[2][2])
{
    const double a = 0.5 * (-x[0] - 7) - tanh(-x[1]), b = 0.5 * (-x[0] + 3) - tanh(-x[1]) + 2;
    const double f[2] = {log(fmax(fabs(a), 5e-6)) + 6, log(fmax(fabs(b), 5e-6)) + 6};
    const double sech = 1 - tanh(x[1]) * tanh(x[1]);
    const double df[2][2] = {{fabs(a) > 5e-6 ? -0.5 / a : 0, fabs(a) > 5e-6 ? sech / a : 0},
                             {fabs(b) > 5e-6 ? -0.5 / b : 0, fabs(b) > 5e-6 ? sech / b : 0}};
    const double c1 = fmax(tanh(0.5 * x[1]), 0), c2 = fmax(tanh(-0.5 * x[1]), 0);
    const double half = 0.5 * (1 - tanh(0.5 * x[1]) * tanh(0.5 * x[1]));
    const double dc1 = x[1] >= 0 ? half : 0, dc2 = x[1] <= 0 ? -half : 0;
    for (int i = 0; i < 2; i++) {
        const double centre = i ? -7 : 7, away = -x[0] + centre, low = -x[1] - 8;
        const double q = (away * away + 0.1 * low * low) / 10 - 20;
        loss[i] = f[i] * c1 + q * c2;
        g[i][0] = df[i][0] * c1 - 2 * away / 10 * c2;
        g[i][1] = df[i][1] * c1 + f[i] * dc1 - 0.2 * low / 10 * c2 + q * dc2;
    }
}

void toy_descend(toy_direction *direction, void *user, const double start[2], double rate,
                 int steps, double theta[2])
{
    double mean[2] = {0}, square[2] = {0}, loss[2], g[2][2], slope[2];
    memcpy(theta, start, 2 * sizeof *theta);
    for (int t = 1; t <= steps; t++) {
        double moved = 0;
        toy_losses(theta, loss, g);
        direction(user, (uint64_t)t, loss, (const double(*)[2])g, slope);
        for (int d = 0; d < 2; d++) {
            mean[d] = 0.9 * mean[d] + 0.1 * slope[d];
            square[d] = 0.999 * square[d] + 0.001 * slope[d] * slope[d];
            const double by =
                rate * mean[d] / (1 - pow(0.9, t)) / (sqrt(square[d] / (1 - pow(0.999, t))) + 1e-8);
            theta[d] -= by;
            moved = fmax(moved, fabs(by));
        }
        if (moved < 1e-7) break; /* arrived */
    }
}

/* Cosine of the two gradients is -1, or one of them is 0. */
bool toy_on_front(const double theta[2])
{
    double loss[2], g[2][2];
    toy_losses(theta, loss, g);
    const double a = sqrt(tdm__dot(g[0], g[0], 2)), b = sqrt(tdm__dot(g[1], g[1], 2));
    return fabs(theta[0]) <= 7.2 && theta[1] < -6 &&
           (a < 1e-2 || b < 1e-2 || tdm__dot(g[0], g[1], 2) / (a * b) < -0.99);
}

void toy_check(const char *name, toy_direction *direction, void (*begin)(void *user), void *user,
               double rate, int steps, int on_front, double from, double to)
{
    int reached = 0;
    for (int s = 0; s < TOY_STARTS; s++) {
        double theta[2];
        if (begin) begin(user);
        toy_descend(direction, user, toy_starts[s], rate, steps, theta);
        const bool front = toy_on_front(theta);
        printf("%-14s (%5.1f,%5.1f) -> (%7.3f,%7.3f)%s\n", name, toy_starts[s][0], toy_starts[s][1],
               theta[0], theta[1], front ? " on the front" : "");
        reached += front;
        if (front)
            ck_assert_msg(theta[0] >= from && theta[0] <= to, "%s: theta_1 = %g", name, theta[0]);
    }
    ck_assert_msg(reached == on_front, "%s: %d of 5 starts reach the front, not %d", name, reached,
                  on_front);
}
