/* tandem/model.h: options of the model: a shared trunk and one head per task.
 *
 * A trunk or head is a named preset or a list of layers ("conv 32 k3 p1", "relu", ...; the syntax is
 * in the README). Parameter names are those of the PyTorch module
 *     encoder = nn.Sequential(...);  heads = nn.ModuleDict({task: nn.Sequential(...)})
 */
#ifndef TANDEM_MODEL_H
#define TANDEM_MODEL_H

#include <tandem/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys model.* and tasks.*.head, tasks.*.layers, tasks.*.classes. */
extern const tdm_opt_table tdm_model_options;

#ifdef __cplusplus
}
#endif
#endif
