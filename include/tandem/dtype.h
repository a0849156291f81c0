/* tandem/dtype.h: element types of tensors and of batches. */
#ifndef TANDEM_DTYPE_H
#define TANDEM_DTYPE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tdm_dtype { TDM_NONE, TDM_F32, TDM_I32, TDM_U8 } tdm_dtype;

#ifdef __cplusplus
}
#endif
#endif
