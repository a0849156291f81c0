/* Metrics from whole-split sums, against values worked out by hand; losses that a head does not
 * fit. */
#include <math.h>

#include "support/support.h"
#include "task/task.h"

#include <tandem/train.h>

static double value(const char *name, const double *sums, int64_t classes)
{
    const tdm__metric *metric = tdm__metric_find(name);
    ck_assert_msg(metric != NULL, "no metric %s", name);
    return metric->value(sums, classes);
}

static void near(const char *name, const double *sums, int64_t classes, double want)
{
    const double got = value(name, sums, classes);
    ck_assert_msg(fabs(got - want) < 1e-12, "%s is %.15g instead of %.15g", name, got, want);
}

START_TEST(from_counts)
{
    const double counts[] = {87, 100}, none[] = {0, 0};
    near("accuracy", counts, 10, 0.87);
    near("top5", counts, 10, 0.87);
    ck_assert(isnan(value("accuracy", none, 10)));
}
END_TEST

START_TEST(from_two_classes)
{
    /* rows are labels: 90 negatives of which 5 called positive; 10 positives of which 6 found */
    const double m[] = {85, 5, 4, 6};
    near("pixel_accuracy", m, 2, 0.91);
    near("balanced_accuracy", m, 2, (85.0 / 90 + 6.0 / 10) / 2);
    near("majority", m, 2, 0.9);
    near("iou", m, 2, 6.0 / 15);
    near("f1", m, 2, 12.0 / 21);
    near("miou", m, 2, (85.0 / 94 + 6.0 / 15) / 2);
}
END_TEST

START_TEST(from_three_classes_one_absent)
{
    /* class 2 never occurs and is never predicted: it does not count */
    const double m[] = {3, 1, 0, 2, 4, 0, 0, 0, 0}, none[9] = {0};
    near("miou", m, 3, (3.0 / 6 + 4.0 / 7) / 2);
    near("iou", m, 3, (3.0 / 6 + 4.0 / 7) / 2);
    near("f1", m, 3, (6.0 / 9 + 8.0 / 11) / 2);
    near("balanced_accuracy", m, 3, (3.0 / 4 + 4.0 / 6) / 2);
    near("pixel_accuracy", m, 3, 0.7);
    ck_assert(isnan(value("miou", none, 3)));
    ck_assert(isnan(value("majority", none, 3)));
}
END_TEST

START_TEST(from_regression_sums)
{
    /* sum |e|, sum e^2, sum |e|/|y|, count y != 0, count below 1.25, count valid */
    const double s[] = {4, 2, 3, 6, 5, 8}, none[6] = {0};
    near("l1", s, 0, 0.5);
    near("l2", s, 0, 0.25);
    near("rmse", s, 0, 0.5);
    near("rel_error", s, 0, 0.5);
    near("delta1", s, 0, 0.625);
    near("psnr", s, 0, -10 * log10(0.25));
    ck_assert(isnan(value("l1", none, 0)));
}
END_TEST

/* The two conventions of Delta m on one result that each calls better in its own way. */
START_TEST(delta_of_both_conventions)
{
    const tdm_metric_value base_seg[] = {{"miou", 0.5, true}, {"majority", 0.9, true, true}};
    const tdm_metric_value base_depth[] = {{"abs_error", 0.4}, {"rmse", 0.8}, {"rel_error", 0}};
    /* a gain of 20 %; a loss of 25 %, of 12.5 %, and one against nothing */
    const tdm_metric_value seg[] = {{"miou", 0.6, true}, {"majority", 0.3, true, true}};
    const tdm_metric_value depth[] = {{"abs_error", 0.5}, {"rmse", 0.9}, {"rel_error", 0.1}};
    const tdm_task_report tasks[] = {{.name = "seg", .n_metrics = 2, .metrics = seg},
                                     {.name = "depth", .n_metrics = 3, .metrics = depth},
                                     {.name = "alone", .n_metrics = 1, .metrics = seg}};
    const tdm_task_report single[] = {{.name = "seg", .n_metrics = 2, .metrics = base_seg},
                                      {.name = "depth", .n_metrics = 3, .metrics = base_depth}};
    const tdm_task_report *const baselines[] = {&single[0], &single[1], NULL};
    const tdm_epoch_report multi = {.n_tasks = 3, .tasks = tasks};
    double gains[3];
    tdm_delta delta;
    tdm_delta_m(&multi, baselines, gains, &delta);
    ck_assert_uint_eq(delta.n_tasks, 2);
    ck_assert_uint_eq(delta.n_metrics, 3);
    ck_assert_double_eq_tol(gains[0], 20, 1e-9);
    ck_assert_double_eq_tol(gains[1], -18.75, 1e-9);
    ck_assert(isnan(gains[2]));
    ck_assert_double_eq_tol(delta.per_task, 0.625, 1e-9);      /* better */
    ck_assert_double_eq_tol(delta.per_metric, 17.5 / 3, 1e-9); /* worse */
    tdm_delta_m(&multi, (const tdm_task_report *const[]){NULL, NULL, NULL}, NULL, &delta);
    ck_assert_uint_eq(delta.n_tasks, 0);
    ck_assert(isnan(delta.per_task));
}
END_TEST

START_TEST(names_and_directions)
{
    ck_assert_ptr_null(tdm__metric_find("nothing"));
    ck_assert(tdm__metric_find("miou")->higher_is_better);
    ck_assert(!tdm__metric_find("rmse")->higher_is_better);
    for (const tdm__metric *m = tdm__metrics; m->name; m++)
        ck_assert_ptr_eq(tdm__metric_find(m->name), m);
}
END_TEST

/* The loss of a head with `outputs` outputs and labels or values for them. */
static void refused(tdm__loss_kind loss, int64_t outputs, bool labels, const char *message)
{
    char name[] = "x";
    const tdm__task task = {.name = name, .loss = loss, .ignore_index = -1, .dice_smooth = 1};
    tdm_graph *g;
    support_ok(tdm_graph_create(&g));
    const tdm_value pred = tdm_graph_variable(g, "pred", tdm_desc_2(TDM_F32, 4, outputs), true);
    const tdm_value target = tdm_graph_variable(
        g, "target", labels ? tdm_desc_1(TDM_I32, 4) : tdm_desc_2(TDM_F32, 4, outputs), false);
    tdm__task_loss(&task, g, pred, target);
    if (message)
        support_fails(tdm_graph_status(g), TDM_ERR_CONFIG, message);
    else
        support_ok(tdm_graph_status(g));
    tdm_graph_destroy(&g);
}

START_TEST(dice_of_heads)
{
    refused(TDM__LOSS_BCE_DICE, 3, false, "bce+dice is for one output, the head gives 3");
    refused(TDM__LOSS_DICE, 65, true, "at most 64 classes, the head gives 65");
    refused(TDM__LOSS_CROSS_ENTROPY_DICE, 65, true, "at most 64 classes, the head gives 65");
    refused(TDM__LOSS_BCE_DICE, 1, false, NULL);
    refused(TDM__LOSS_CROSS_ENTROPY_DICE, 64, true, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("task");
    TCase *tc = tcase_create("metrics");
    tcase_add_test(tc, from_counts);
    tcase_add_test(tc, from_two_classes);
    tcase_add_test(tc, from_three_classes_one_absent);
    tcase_add_test(tc, from_regression_sums);
    tcase_add_test(tc, delta_of_both_conventions);
    tcase_add_test(tc, names_and_directions);
    tcase_add_test(tc, dice_of_heads);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}
