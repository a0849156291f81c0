/* Every method of balancing on what goes wrong in practice: losses that are not finite, batches
 * without labels, tasks that ask for the same, forty tasks. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "support/small_run.h"

static const char *const every_kind[] = {"equal",   "fixed",  "uncertainty", "dwa",     "rlw",
                                         "dtp",     "gls",    "si",          "stch",    "uw-so",
                                         "imtl-l",  "famo",   "mgda",        "cagrad",  "imtl-g",
                                         "imtl",    "nash",   "fairgrad",    "aligned", "pcgrad",
                                         "gradvac", "upgrad", "graddrop",    "db-mtl",  "gradnorm"};
enum { EVERY_KIND = sizeof every_kind / sizeof *every_kind };
/* Heads on one feature, which gradnorm needs, without batch norm, which would hide what diverges.
 */
#define PLAIN_TRUNK "model.layers=[conv 8 k3 p1, relu, max-pool 2, conv 8 k3 p1, relu, max-pool 2]"

START_TEST(a_loss_that_is_not_finite_is_named)
{
    char kind[64];
    snprintf(kind, sizeof kind, "balance.kind=%s", every_kind[_i]);
    support_fails(SMALL_TRAIN(small_output("a"), kind, PLAIN_TRUNK, "optim.kind=sgd",
                              "optim.lr=1e30", "optim.momentum=0"),
                  TDM_ERR_DIVERGED, "task '");
}
END_TEST

/* One target spoils one task's loss in the first epoch's fifth step of nine; one step later
 * everything is NaN. The class, which comes first, is not to blame. */
START_TEST(the_task_that_began_is_named)
{
    char kind[64];
    const char *spoilt = small_run_path("spoilt");
    ck_assert_int_eq(mkdir(spoilt, 0755), 0);
    small_data_spoilt(spoilt);
    snprintf(kind, sizeof kind, "balance.kind=%s", every_kind[_i]);
    const char *const assignments[] = {
        small_output("a"),     kind,
        PLAIN_TRUNK,           "tasks.recon.enabled=false",
        "tasks.value.loss=l2", "tasks.value.layers=[flatten, dense 1]",
        "train.batch_size=8",  "tasks.value.target=values"};
    support_fails(small_train(spoilt, assignments, sizeof assignments / sizeof *assignments, NULL),
                  TDM_ERR_DIVERGED, "task 'value'");
}
END_TEST

static char told[1 << 12];

static void keep_log(void *user, tdm_log_level level, const char *message)
{
    (void)user, (void)level;
    const size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%s\n", message);
}

/* A baseline: the same configuration with one of its tasks, whatever lines it asks for. */
START_TEST(one_task_of_the_same_configuration)
{
    char kind[64];
    snprintf(kind, sizeof kind, "balance.kind=%s", every_kind[_i]);
    told[0] = 0;
    tdm_set_log(keep_log, NULL, TDM_LOG_INFO);
    support_ok(SMALL_TRAIN(small_output("one"), kind, PLAIN_TRUNK, "tasks.recon.enabled=false",
                           "train.epochs=2", "train.test=false",
                           "train.log_format={train.class.loss:.3f} recon {val.recon.l1:.3f}"));
    tdm_set_log(NULL, NULL, TDM_LOG_WARN);
    ck_assert_double_lt(small_logged("one", 2, "class", "loss"),
                        small_logged("one", 1, "class", "loss"));
    ck_assert_msg(strstr(told, " recon nan\n") != NULL, "%s", told);
    support_fails(SMALL_TRAIN(small_output("two"), kind, PLAIN_TRUNK, "tasks.recon.enabled=false",
                              "train.log_format={train.recno.loss}"),
                  TDM_ERR_CONFIG, "{train.recno.loss}: no such value");
}
END_TEST

/* Forty tasks: one-against-the-rest questions, each ten times. */
START_TEST(forty_tasks)
{
    enum { MANY = 40, KEYS = 4 };
    char texts[KEYS * MANY][64], kind[64];
    const char *assignments[KEYS * MANY + 7] = {NULL,
                                                kind,
                                                PLAIN_TRUNK,
                                                "tasks.class.enabled=false",
                                                "tasks.recon.enabled=false",
                                                "train.epochs=2",
                                                "train.test=false"};
    for (int i = 0; i < MANY; i++) {
        const int c = i % 4;
        snprintf(texts[KEYS * i], sizeof *texts, "tasks.t%d.layers=[flatten, dense classes]", i);
        snprintf(texts[KEYS * i + 1], sizeof *texts, "tasks.t%d.loss=cross-entropy", i);
        snprintf(texts[KEYS * i + 2], sizeof *texts, "tasks.t%d.target=labels", i);
        snprintf(texts[KEYS * i + 3], sizeof *texts, "tasks.t%d.label_map=[%d, %d, %d, %d]", i,
                 c == 0, c == 1, c == 2, c == 3);
    }
    for (int i = 0; i < KEYS * MANY; i++) assignments[7 + i] = texts[i];
    for (size_t k = 0; k < EVERY_KIND; k++) {
        snprintf(kind, sizeof kind, "balance.kind=%s", every_kind[k]);
        assignments[0] = small_output(every_kind[k]);
        support_ok(small_train(small_folder, assignments, KEYS * MANY + 7, NULL));
        double first = 0, last = 0;
        for (int i = 0; i < MANY; i++) {
            snprintf(texts[0], sizeof *texts, "t%d", i);
            first += small_logged(every_kind[k], 1, texts[0], "loss");
            last += small_logged(every_kind[k], 2, texts[0], "loss");
        }
        snprintf(texts[0], sizeof *texts, "tasks.t0.layers=[flatten, dense classes]");
        ck_assert_msg(last < 0.95 * first, "%s: from %g to %g", every_kind[k], first, last);
    }
}
END_TEST

/* Only one of the four labels counts, so in batches of two a task often has nothing: its gradient
 * is 0, and neither it nor the other task comes to harm. And two tasks that ask for the same. */
START_TEST(batches_without_labels_and_identical_tasks)
{
    char kind[64];
    snprintf(kind, sizeof kind, "balance.kind=%s", every_kind[_i]);
    support_ok(SMALL_TRAIN(small_output("few"), kind, PLAIN_TRUNK,
                           "tasks.class.label_map=[-1, 0, -1, -1]", "tasks.class.classes=2",
                           "tasks.class.ignore_index=-1", "train.batch_size=2", "train.epochs=2",
                           "train.test=false"));
    ck_assert(isfinite(small_logged("few", 2, "class", "loss")));
    ck_assert_double_lt(small_logged("few", 2, "recon", "loss"),
                        small_logged("few", 1, "recon", "loss"));
    support_ok(SMALL_TRAIN(
        small_output("same"), kind, PLAIN_TRUNK, "tasks.class.enabled=false",
        "tasks.twin.layers=[conv-transpose 4 k2 s2, relu, conv-transpose channels k2 s2, "
        "sigmoid]",
        "tasks.twin.loss=l1", "tasks.twin.target=images", "train.epochs=2", "train.test=false"));
    ck_assert_double_lt(small_logged("same", 2, "recon", "loss"),
                        small_logged("same", 1, "recon", "loss"));
    ck_assert_double_lt(small_logged("same", 2, "twin", "loss"),
                        small_logged("same", 1, "twin", "loss"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("balance_degenerate");
    TCase *tc = tcase_create("degenerate");
    tcase_set_timeout(tc, 600);
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_loop_test(tc, a_loss_that_is_not_finite_is_named, 0, EVERY_KIND);
    tcase_add_loop_test(tc, the_task_that_began_is_named, 0, EVERY_KIND);
    tcase_add_loop_test(tc, batches_without_labels_and_identical_tasks, 0, EVERY_KIND);
    tcase_add_loop_test(tc, one_task_of_the_same_configuration, 0, EVERY_KIND);
    tcase_add_test(tc, forty_tasks);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
