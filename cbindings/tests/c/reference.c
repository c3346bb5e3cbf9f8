/* The reference numbers of tests/data through the C ABI. They are in reference_data.h, which the test that compiles the
   program has written. */
#include "check.h"
#include "reference_data.h"

/* Recurrent layers against PyTorch: forward and backward. */
static void recurrent_layer(const struct recurrent_case *c) {
    elman_network *network;
    OK(elman_create(c->input, &network));
    for (size_t layer = 0; layer < c->layers; layer++) OK(elman_add_rnn(network, c->units, c->activation));
    OK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    const size_t count = elman_parameter_count(network);
    OK(elman_set_parameters(network, c->parameters, count));

    const size_t y_count = c->batch * c->steps * c->units, state_count = c->batch * elman_state_size(network);
    const size_t x_count = c->batch * c->steps * c->input;
    float *y = floats(y_count), *state = floats(state_count), *dx = floats(x_count), *dstate = floats(state_count);
    OK(elman_forward(network, c->x, c->batch, c->steps, c->lengths, c->state_in, y, state));
    close_to("y", y, c->y, y_count, 1e-5);
    close_to("state_out", state, c->state_out, state_count, 1e-5);

    OK(elman_backward(network, c->dy, c->dstate_out, dx, dstate));
    close_to("dx", dx, c->dx, x_count, 1e-5);
    close_to("dstate_in", dstate, c->dstate_in, state_count, 1e-5);
    float *gradients;
    OK(elman_gradients(network, &gradients, NULL));
    close_to("gradients", gradients, c->gradients, count, 1e-5);

    double error;
    OK(elman_gradient_check(network, c->x, c->batch, c->steps, c->lengths, c->state_in, c->dy, c->dstate_out, &error));
    CHECK(error < 1e-6);

    free(y), free(state), free(dx), free(dstate);
    elman_destroy(network);
}

/* One layer of 4 nodes: its states, its states when the run goes on, and two sets of gradients. */
static void small_sequence(void) {
    elman_network *network;
    OK(elman_create(2, &network));
    OK(elman_add_rnn(network, 4, ELMAN_TANH));
    OK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    OK(elman_set_parameters(network, small_parameters, COUNT(small_parameters)));
    float y[12], state[4];
    OK(elman_forward(network, small_x, 1, 3, NULL, NULL, y, state));
    close_to("states", y, small_states, 12, 1e-5);
    OK(elman_predict(network, small_x, 1, 3, NULL, state, y, NULL));
    close_to("states, continued", y, small_states_continued, 12, 1e-5);

    float *gradients, dx[6], dstate[4], ones[12];
    size_t count;
    for (size_t i = 0; i < 12; i++) ones[i] = 1.0f;
    OK(elman_gradients(network, &gradients, &count));
    CHECK(count == COUNT(small_gradients_last));
    OK(elman_backward(network, NULL, ones, dx, dstate));
    close_to("gradients of the last state", gradients, small_gradients_last, count, 1e-5);
    close_to("dx of the last state", dx, small_dx_last, 6, 1e-5);
    close_to("dstate of the last state", dstate, small_dstate_last, 4, 1e-5);

    OK(elman_clear_gradients(network));
    OK(elman_backward(network, ones, NULL, dx, dstate));
    close_to("gradients of all states", gradients, small_gradients_all, count, 1e-5);
    close_to("dx of all states", dx, small_dx_all, 6, 1e-5);
    close_to("dstate of all states", dstate, small_dstate_all, 4, 1e-5);
    elman_destroy(network);
}

/* A linear network of two weights that learns to count ones. Its bias stays 0: it never gets a gradient. */
static void binary_sum(void) {
    const size_t batch = COUNT(sum_targets), steps = COUNT(sum_x) / COUNT(sum_targets);
    elman_network *network;
    OK(elman_create(1, &network));
    OK(elman_add_rnn(network, 1, ELMAN_LINEAR));
    float parameters[3] = {1.2f, 1.2f, 0.0f}, *gradients, *y = floats(batch), *dy = floats(batch);
    double loss;
    OK(elman_gradients(network, &gradients, NULL));
    OK(elman_set_parameters(network, parameters, 3));
    OK(elman_forward(network, sum_x, batch, steps, NULL, NULL, y, NULL));
    OK(elman_mean_squared_error(y, sum_targets, batch, &loss, dy));
    OK(elman_backward(network, dy, NULL, NULL, NULL));
    CHECK(fabs(loss / sum_cost - 1) < 1e-5);
    close_to("gradients", gradients, sum_gradients, 2, 1e-5);

    elman_optimizer *rprop;
    OK(elman_rprop_unbounded_create(0.001, 0.5, 1.2, &rprop));
    memcpy(parameters, sum_trajectory, 2 * sizeof(float));
    OK(elman_set_parameters(network, parameters, 3));
    OK(elman_clear_gradients(network));
    for (size_t step = 1; step < COUNT(sum_trajectory) / 2; step++) {
        OK(elman_forward(network, sum_x, batch, steps, NULL, NULL, y, NULL));
        OK(elman_mean_squared_error(y, sum_targets, batch, NULL, dy));
        OK(elman_backward(network, dy, NULL, NULL, NULL));
        gradients[2] = 0.0f;
        OK(elman_update(network, rprop));
        OK(elman_get_parameters(network, parameters, 3));
        close_to("path", parameters, sum_trajectory + 2 * step, 2, 1e-5);
        CHECK(parameters[2] == 0.0f);
    }
    free(y), free(dy);
    elman_optimizer_destroy(rprop);
    elman_destroy(network);
}

/* Optimizers against torch.optim. The five parameters are those of a dense layer, whose gradients are set in place. */
static void trajectory(const char *name, elman_optimizer *optimizer, const float *expected) {
    elman_network *network;
    OK(elman_create(4, &network));
    OK(elman_add_dense(network, 1, ELMAN_LINEAR));
    OK(elman_set_parameters(network, optimizer_start, 5));
    float *gradients, p[5];
    OK(elman_gradients(network, &gradients, NULL));
    for (size_t k = 0; k < 50; k++) {
        OK(elman_get_parameters(network, p, 5));
        for (size_t i = 0; i < 5; i++) {
            const double pull = 2.0 * ((double)p[i] - 0.3 * (double)i) * (1.0 + 0.1 * (double)i);
            gradients[i] = (float)(pull + sin(1.7 * (double)k + (double)i));
        }
        OK(elman_update(network, optimizer));
        CHECK(gradients[0] == 0.0f);
        for (size_t i = 0; i < COUNT(optimizer_updates); i++) {
            OK(elman_get_parameters(network, p, 5));
            if (optimizer_updates[i] == k + 1) close_to(name, p, expected + 5 * i, 5, 1e-5);
        }
    }
    elman_destroy(network);
    elman_optimizer_destroy(optimizer);
}

static void optimizers(void) {
    elman_optimizer *optimizer;
    OK(elman_sgd_create(0.05, 0.0, 0, 0.0, &optimizer));
    trajectory("sgd", optimizer, optimizer_sgd);
    OK(elman_sgd_create(0.02, 0.9, 0, 0.0, &optimizer));
    trajectory("sgd_momentum", optimizer, optimizer_sgd_momentum);
    OK(elman_sgd_create(0.02, 0.9, 1, 0.0, &optimizer));
    trajectory("sgd_nesterov", optimizer, optimizer_sgd_nesterov);
    OK(elman_adagrad_create(0.1, 1e-10, &optimizer));
    trajectory("adagrad", optimizer, optimizer_adagrad);
    OK(elman_rmsprop_create(0.01, 0.99, 1e-8, 0.0, &optimizer));
    trajectory("rmsprop", optimizer, optimizer_rmsprop);
    OK(elman_adam_create(0.05, 0.9, 0.999, 1e-8, 0.0, &optimizer));
    trajectory("adam", optimizer, optimizer_adam);
    OK(elman_adamw_create(0.05, 0.9, 0.999, 1e-8, 0.01, &optimizer));
    trajectory("adamw", optimizer, optimizer_adamw);
    OK(elman_rprop_create(0.01, 0.5, 1.2, 1e-6, 50.0, &optimizer));
    trajectory("rprop", optimizer, optimizer_rprop);
}

/* A classifier trained on its last state. Rounding errors grow about tenfold every five epochs, so float follows the
   first ones only. */
static void classifier(void) {
    elman_network *network;
    elman_optimizer *sgd;
    OK(elman_create(3, &network));
    OK(elman_add_rnn(network, 8, ELMAN_TANH));
    OK(elman_add_dense(network, 2, ELMAN_LINEAR));
    OK(elman_set_parameters(network, classifier_parameters, COUNT(classifier_parameters)));
    OK(elman_sgd_create(0.1, 0.0, 0, 0.0, &sgd));
    float logits[200], dlogits[200], *gradients;
    size_t count;
    OK(elman_gradients(network, &gradients, &count));
    for (size_t epoch = 0; epoch < COUNT(classifier_losses); epoch++) {
        double loss;
        OK(elman_forward(network, classifier_x, 100, 5, NULL, NULL, logits, NULL));
        OK(elman_softmax_cross_entropy(logits, classifier_labels, 100, 2, &loss, dlogits));
        CHECK(fabs(loss - classifier_losses[epoch]) <= 1e-5);
        /* The recurrent layer's gradients are to be sums, those of the dense layer (its last 18 parameters) means. */
        for (size_t i = 0; i < 200; i++) dlogits[i] *= 100.0f;
        OK(elman_backward(network, dlogits, NULL, NULL, NULL));
        for (size_t i = count - 18; i < count; i++) gradients[i] /= 100.0f;
        OK(elman_update(network, sgd));
    }
    elman_optimizer_destroy(sgd);
    elman_destroy(network);
}

int main(void) {
    for (size_t i = 0; i < COUNT(recurrent_cases); i++) recurrent_layer(&recurrent_cases[i]);
    small_sequence();
    binary_sum();
    optimizers();
    classifier();
    puts("ok");
    return 0;
}
