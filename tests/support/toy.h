/* support/toy.h: the two-dimensional problem of the multi-task papers (Liu B. et al., NeurIPS 2021,
 * appendix; also Navon et al., ICML 2022, and others): two losses of two parameters whose gradients
 * conflict and differ in size, five starts, Adam. The front lies near theta_2 = -8.4, from theta_1
 * = -7 to 7, the sum's minimum at 0. */
#ifndef SUPPORT_TOY_H
#define SUPPORT_TOY_H

#include <stdbool.h>
#include <stdint.h>

enum { TOY_STARTS = 5 };
extern const double toy_starts[TOY_STARTS][2];

/* The losses, above -20.1 everywhere, and their gradients by theta. */
void toy_losses(const double theta[2], double loss[2], double gradient[2][2]);

/* Fills the direction that is followed downhill in step t (1 for the first). */
typedef void toy_direction(void *user, uint64_t t, const double loss[2],
                           const double gradient[2][2], double out[2]);
/* At most `steps` steps of Adam at `rate` from the start; ends early where nothing moves. */
void toy_descend(toy_direction *direction, void *user, const double start[2], double rate,
                 int steps, double theta[2]);
/* Whether no direction helps both losses there. */
bool toy_on_front(const double theta[2]);
/* Descends from the five starts (`begin` before each, or NULL), prints where each ends, and fails
 * unless just `on_front` of them reach the front, all with theta_1 in [from, to]. */
void toy_check(const char *name, toy_direction *direction, void (*begin)(void *user), void *user,
               double rate, int steps, int on_front, double from, double to);

#endif
