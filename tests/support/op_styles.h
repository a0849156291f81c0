/* support/op_styles.h: main of the programs that go through the operations in both kernel styles.
 */
#ifndef SUPPORT_OP_STYLES_H
#define SUPPORT_OP_STYLES_H

#include <tandem/device.h>

/* Runs a suite of two tests: `run` in CPU and in GPU style ($TANDEM_TEST_STYLE, cpu or gpu: in that
 * one only). Returns main's exit code. */
int op_styles_run(const char *suite, void (*run)(tdm_kernel_style style));

#endif
