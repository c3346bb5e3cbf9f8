// oneDNN's vanilla RNN, LSTM and GRU (reset after the product) behind a few C functions, for run.py to load.
//
// oneDNN gets what is best for it: time-major data, weights already in the layouts that its primitives ask for, and
// gradients of the weights that are added up and never cleared. What is left is the time of its primitives.
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

using namespace dnnl;
using desc = memory::desc;
using tag = memory::format_tag;
using arguments = std::unordered_map<int, memory>;

namespace {

struct tensors {
    desc x, w_x, w_h, bias, y, none;
};

const auto forth = rnn_direction::unidirectional_left2right;

// A cell: how many gates it has, how many biases, and its primitives.

struct rnn {
    static constexpr memory::dim gates = 1, biases = 1;
    using forward = vanilla_rnn_forward;
    using backward = vanilla_rnn_backward;

    static forward::primitive_desc plan(const engine &cpu, prop_kind kind, const tensors &s) {
        return {cpu, kind, algorithm::eltwise_tanh, forth, s.x, s.none, s.w_x, s.w_h, s.bias, s.y, s.none};
    }

    static backward::primitive_desc plan(const engine &cpu, const tensors &s, const forward::primitive_desc &training) {
        return {cpu, prop_kind::backward, algorithm::eltwise_tanh, forth,
                s.x, s.none, s.w_x, s.w_h, s.bias, s.y, s.none,
                s.x, s.none, s.w_x, s.w_h, s.bias, s.y, s.none, training};
    }
};

struct lstm {
    static constexpr memory::dim gates = 4, biases = 4;
    using forward = lstm_forward;
    using backward = lstm_backward;

    static forward::primitive_desc plan(const engine &cpu, prop_kind kind, const tensors &s) {
        return {cpu, kind, forth, s.x, s.none, s.none, s.w_x, s.w_h, s.bias, s.y, s.none, s.none};
    }

    static backward::primitive_desc plan(const engine &cpu, const tensors &s, const forward::primitive_desc &training) {
        return {cpu, prop_kind::backward, forth,
                s.x, s.none, s.none, s.w_x, s.w_h, s.bias, s.y, s.none, s.none,
                s.x, s.none, s.none, s.w_x, s.w_h, s.bias, s.y, s.none, s.none, training};
    }
};

struct gru {
    static constexpr memory::dim gates = 3, biases = 4;
    using forward = lbr_gru_forward;
    using backward = lbr_gru_backward;

    static forward::primitive_desc plan(const engine &cpu, prop_kind kind, const tensors &s) {
        return {cpu, kind, forth, s.x, s.none, s.w_x, s.w_h, s.bias, s.y, s.none};
    }

    static backward::primitive_desc plan(const engine &cpu, const tensors &s, const forward::primitive_desc &training) {
        return {cpu, prop_kind::backward, forth,
                s.x, s.none, s.w_x, s.w_h, s.bias, s.y, s.none,
                s.x, s.none, s.w_x, s.w_h, s.bias, s.y, s.none, training};
    }
};

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

    template <class Cell>
    layer(Cell, memory::dim t, memory::dim b, memory::dim i, memory::dim h, const float *x_values,
          const float *w_x_values, const float *w_h_values, const float *bias_values, const float *dy_values) {
        const auto f32 = memory::data_type::f32;
        const memory::dims of_w_x{1, 1, i, Cell::gates, h}, of_w_h{1, 1, h, Cell::gates, h};
        memory x = plain({t, b, i}, tag::tnc, x_values), dy = plain({t, b, h}, tag::tnc, dy_values);
        memory w_x = plain(of_w_x, tag::ldigo, w_x_values), w_h = plain(of_w_h, tag::ldigo, w_h_values);
        memory bias = plain({1, 1, Cell::biases, h}, tag::ldgo, bias_values);
        y = plain({t, b, h}, tag::tnc);
        dx = plain({t, b, i}, tag::tnc);
        const tensors all{x.get_desc(), {of_w_x, f32, tag::any}, {of_w_h, f32, tag::any}, bias.get_desc(), y.get_desc(), {}};

        auto inputs = [&](const auto &of) {
            return arguments{{DNNL_ARG_SRC_LAYER, x},
                             {DNNL_ARG_WEIGHTS_LAYER, in_layout(w_x, of.weights_layer_desc())},
                             {DNNL_ARG_WEIGHTS_ITER, in_layout(w_h, of.weights_iter_desc())},
                             {DNNL_ARG_BIAS, bias},
                             {DNNL_ARG_DST_LAYER, y}};
        };
        const auto inference_desc = Cell::plan(cpu, prop_kind::forward_inference, all);
        inference = typename Cell::forward(inference_desc);
        inference_arguments = inputs(inference_desc);

        const auto training_desc = Cell::plan(cpu, prop_kind::forward_training, all);
        const memory workspace = filled(training_desc.workspace_desc());
        training = typename Cell::forward(training_desc);
        training_arguments = inputs(training_desc);
        training_arguments.insert({DNNL_ARG_WORKSPACE, workspace});

        const auto back = Cell::plan(cpu, all, training_desc);
        backward = typename Cell::backward(back);
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

/// A layer of "rnn" (tanh), "lstm" or "gru" from zero states; arrays are row-major, x [t][b][i], w_x [i][g][h],
/// w_h [h][g][h] and dy [t][b][h], with gates as oneDNN has them; bias is [g][h], of a GRU with one more, that of n inside
/// the reset. NULL where oneDNN refuses.
void *peer_create(const char *cell, size_t t, size_t b, size_t i, size_t h, size_t threads, const float *x,
                  const float *w_x, const float *w_h, const float *bias, const float *dy) {
    omp_set_num_threads(int(threads));
    auto create = [&](auto kind) {
        auto d = [](size_t size) { return memory::dim(size); };
        return new layer(kind, d(t), d(b), d(i), d(h), x, w_x, w_h, bias, dy);
    };
    try {
        const std::string name = cell;
        return name == "lstm" ? create(lstm{}) : name == "gru" ? create(gru{}) : create(rnn{});
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
