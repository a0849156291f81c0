/* tandem/tandem.h: all of the public interface. */
#ifndef TANDEM_TANDEM_H
#define TANDEM_TANDEM_H

#include <tandem/compare.h>
#include <tandem/config.h>
#include <tandem/dataset.h>
#include <tandem/device.h>
#include <tandem/dtype.h>
#include <tandem/experiment.h>
#include <tandem/graph.h>
#include <tandem/loader.h>
#include <tandem/make.h>
#include <tandem/model.h>
#include <tandem/ops.h>
#include <tandem/optim.h>
#include <tandem/pipeline.h>
#include <tandem/predict.h>
#include <tandem/report.h>
#include <tandem/runs.h>
#include <tandem/samples.h>
#include <tandem/status.h>
#include <tandem/task.h>
#include <tandem/train.h>

#endif
