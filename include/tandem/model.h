/* tandem/model.h: options of the model: a shared trunk and one head per task.
 *
 * A trunk or head is named or a list of layers ("conv 32 k3 p1", "relu", ...; the syntax is in the
 * README). Parameter names are those of the PyTorch module
 *     encoder = nn.Sequential(...);  heads = nn.ModuleDict({task: nn.Sequential(...)})
 * for lists, and of the classes in tests/ref/models.py for the others; model.prefix and
 * tasks.NAME.prefix change what they begin with.
 */
#ifndef TANDEM_MODEL_H
#define TANDEM_MODEL_H

#include <tandem/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys model.* and tasks.*.{head,layers,feature,prefix,classes}. */
extern const tdm_opt_table tdm_model_options;

#ifdef __cplusplus
}
#endif
#endif
