/* train/step_graph.h: the graph of one step: network, losses, balancing, metrics, gradients. */
#ifndef TRAIN_STEP_GRAPH_H
#define TRAIN_STEP_GRAPH_H

#include "train/session.h"

/* Declares every segment of the training step in session->flat and learns the tasks' class counts.
 * used: a flag per freezing pattern. */
tdm_status tdm__step_declare(tdm__session *session, bool *used);
/* Marks the segments that the losses of two or more tasks reach. representation: elements of what
 * all heads read, of a full batch; TDM_ERR_CONFIG where balancing needs it and there is none. */
tdm_status tdm__step_shared(tdm__session *session, bool *shared, uint64_t *representation);
/* By what parts of which parameters the heads read the rows (channels) of the feature that all read.
 * parts: n_tasks. TDM_ERR_CONFIG: they read different ones, or not by channels. */
tdm_status tdm__step_feature_rows(tdm__session *session, tdm__row_part *parts, int64_t *rows);
/* Builds graph and plan for plan->count and plan->training; fills inputs and has_gradient. */
tdm_status tdm__step_build(tdm__session *session, tdm__step_plan *plan);
/* Which features the heads use, and their shapes for a full batch, by tdm__feature. */
tdm_status tdm__step_features(tdm__session *session, bool used[2], tdm_desc descs[2]);
/* A plan of the trunk alone, frozen, that writes the features into session->cached.staging; *input
 * is to be bound. */
tdm_status tdm__step_build_trunk(tdm__session *session, int64_t count, tdm__plan **plan,
                                 tdm_value *input);
/* Announces the plan of a full batch to the arena (tdm__plan_reserve). */
tdm_status tdm__step_reserve(tdm__session *session, bool training, const bool *tasks);
/* A plan of the network alone, in evaluation mode: *input is to be bound, outputs (n_tasks) are
 * what tdm__task_output makes of the predictions, of the shapes `descs`. */
tdm_status tdm__step_build_prediction(tdm__session *session, int64_t count, tdm__plan **plan,
                                      tdm_value *input, tdm_value *outputs, tdm_desc *descs);
/* What one layer gives: (N,H,W,C) or (N,C). */
typedef struct tdm__layer_output {
    char *name;
    tdm_desc desc;
    tdm_value value;
} tdm__layer_output;
/* A plan of the network in evaluation mode that keeps what each layer with parameters gives; a
 * layer that is used twice counts once. *input is to be bound. Free the names and *layers. */
tdm_status tdm__step_build_layers(tdm__session *session, int64_t count, tdm__plan **plan,
                                  tdm_value *input, tdm__layer_output **layers, size_t *n);
/* The layer table of the network alone (model/model.h). free(*out). */
tdm_status tdm__step_table(tdm__session *session, char **out);

#endif
