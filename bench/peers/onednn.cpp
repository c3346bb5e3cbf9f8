// oneDNN's vanilla RNN behind a few C functions, for run.py to load.
//
// oneDNN gets what is best for it: time-major data, weights already in the layouts that its primitives ask for, and
// gradients of the weights that are added up and never cleared. What is left is the time of its primitives.
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

using namespace dnnl;
using desc = memory::desc;
using tag = memory::format_tag;
using arguments = std::unordered_map<int, memory>;

namespace {

struct layer {
    engine cpu{engine::kind::cpu, 0};
    stream order{cpu};
    primitive inference, training, backward;
    arguments inference_arguments, training_arguments, backward_arguments;
    memory y, dx;

    memory filled(const desc &of, const float *values = nullptr) {
        memory result(of, cpu);
        if (values) std::memcpy(result.get_data_handle(), values, of.get_size());
        else if (of.get_size()) std::memset(result.get_data_handle(), 0, of.get_size());
        return result;
    }

    memory plain(const memory::dims &dims, tag format, const float *values = nullptr) {
        return filled({dims, memory::data_type::f32, format}, values);
    }

    memory in_layout(memory source, const desc &of) {
        if (source.get_desc() == of) return source;
        memory result(of, cpu);
        reorder(source, result).execute(order, source, result);
        order.wait();
        return result;
    }

    layer(memory::dim t, memory::dim b, memory::dim i, memory::dim h, const float *x_values, const float *w_x_values,
          const float *w_h_values, const float *bias_values, const float *dy_values) {
        const auto f32 = memory::data_type::f32;
        const auto forth = rnn_direction::unidirectional_left2right;
        const auto tanh = algorithm::eltwise_tanh;
        memory x = plain({t, b, i}, tag::tnc, x_values), dy = plain({t, b, h}, tag::tnc, dy_values);
        memory w_x = plain({1, 1, i, 1, h}, tag::ldigo, w_x_values);
        memory w_h = plain({1, 1, h, 1, h}, tag::ldigo, w_h_values);
        memory bias = plain({1, 1, 1, h}, tag::ldgo, bias_values);
        y = plain({t, b, h}, tag::tnc);
        dx = plain({t, b, i}, tag::tnc);
        const desc any_w_x({1, 1, i, 1, h}, f32, tag::any), any_w_h({1, 1, h, 1, h}, f32, tag::any), none;
        const desc in = x.get_desc(), out = y.get_desc(), of_bias = bias.get_desc();

        auto forward = [&](prop_kind kind) {
            return vanilla_rnn_forward::primitive_desc(
                cpu, kind, tanh, forth, in, none, any_w_x, any_w_h, of_bias, out, none);
        };
        auto inputs = [&](const auto &of) {
            return arguments{{DNNL_ARG_SRC_LAYER, x},
                             {DNNL_ARG_WEIGHTS_LAYER, in_layout(w_x, of.weights_layer_desc())},
                             {DNNL_ARG_WEIGHTS_ITER, in_layout(w_h, of.weights_iter_desc())},
                             {DNNL_ARG_BIAS, bias},
                             {DNNL_ARG_DST_LAYER, y}};
        };
        const auto inference_desc = forward(prop_kind::forward_inference);
        inference = vanilla_rnn_forward(inference_desc);
        inference_arguments = inputs(inference_desc);

        const auto training_desc = forward(prop_kind::forward_training);
        const memory workspace = filled(training_desc.workspace_desc());
        training = vanilla_rnn_forward(training_desc);
        training_arguments = inputs(training_desc);
        training_arguments.insert({DNNL_ARG_WORKSPACE, workspace});

        const vanilla_rnn_backward::primitive_desc back(
            cpu, prop_kind::backward, tanh, forth, in, none, any_w_x, any_w_h, of_bias, out, none, in, none, any_w_x,
            any_w_h, of_bias, out, none, training_desc);
        backward = vanilla_rnn_backward(back);
        backward_arguments = inputs(back);
        backward_arguments.insert({{DNNL_ARG_WORKSPACE, workspace},
                                   {DNNL_ARG_DIFF_SRC_LAYER, dx},
                                   {DNNL_ARG_DIFF_WEIGHTS_LAYER, filled(back.diff_weights_layer_desc())},
                                   {DNNL_ARG_DIFF_WEIGHTS_ITER, filled(back.diff_weights_iter_desc())},
                                   {DNNL_ARG_DIFF_BIAS, filled(back.diff_bias_desc())},
                                   {DNNL_ARG_DIFF_DST_LAYER, dy}});
    }
};

}  // namespace

extern "C" {

/// The version of the library that runs, not of its headers.
const char *peer_version() {
    static char text[32];
    const dnnl_version_t *now = dnnl_version();
    std::snprintf(text, sizeof text, "%d.%d.%d", now->major, now->minor, now->patch);
    return text;
}

/// A tanh layer from zero states; arrays are row-major, x [t][b][i] and dy [t][b][h]. NULL where oneDNN refuses.
void *peer_create(size_t t, size_t b, size_t i, size_t h, size_t threads, const float *x, const float *w_x,
                  const float *w_h, const float *bias, const float *dy) {
    omp_set_num_threads(int(threads));
    try {
        auto d = [](size_t size) { return memory::dim(size); };
        return new layer(d(t), d(b), d(i), d(h), x, w_x, w_h, bias, dy);
    } catch (const error &) {
        return nullptr;
    }
}

void peer_destroy(void *peer) { delete static_cast<layer *>(peer); }

/// Runs 0: the forward pass for inference, 1: the one for training, 2: that and the backward pass.
void peer_run(void *peer, int what) {
    auto *l = static_cast<layer *>(peer);
    if (what == 0) l->inference.execute(l->order, l->inference_arguments);
    else l->training.execute(l->order, l->training_arguments);
    if (what == 2) l->backward.execute(l->order, l->backward_arguments);
    l->order.wait();
}

/// The outputs [t][b][h] and the gradient of x [t][b][i] of the last run.
const float *peer_y(void *peer) { return static_cast<float *>(static_cast<layer *>(peer)->y.get_data_handle()); }
const float *peer_dx(void *peer) { return static_cast<float *>(static_cast<layer *>(peer)->dx.get_data_handle()); }
}
