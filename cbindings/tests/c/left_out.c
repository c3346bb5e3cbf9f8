/* Of a library that was built without any of the parts that may be left out: what is left runs, the rest says what is missing. */
#include "check.h"

/* A call that must fail for want of a feature. */
#define LEFT_OUT(call, feature)                                                                                        \
    do {                                                                                                               \
        CHECK((call) == ELMAN_ERROR_UNSUPPORTED);                                                                      \
        CHECK(strcmp(elman_last_error(), "the library was built without the feature '" feature "'") == 0);             \
    } while (0)

int main(void) {
    const float x[] = {0.1f, 0.5f, 0.9f};
    const size_t lengths[] = {3}, labels[] = {0};
    float y[1], again[1];
    elman_network *network, *other = NULL;
    elman_session *session;
    OK(elman_create(1, &network));
    OK(elman_add_lstm(network, 8, NULL));
    OK(elman_add_dense(network, 1, ELMAN_LINEAR));
    OK(elman_predict(network, x, 1, 3, NULL, NULL, y, NULL));
    OK(elman_session_create(network, &session));
    for (size_t step = 0; step < COUNT(x); step++) OK(elman_session_step(session, &x[step], again));
    SAME(y, again, 1);
    CHECK(strcmp(elman_tier(), "avx512") != 0);

    elman_dataset *dataset = NULL;
    elman_optimizer *optimizer;
    elman_fit_options options;
    OK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &optimizer));
    LEFT_OUT(elman_dataset_create(1, x, lengths, 1, &dataset), "datasets");
    LEFT_OUT(elman_dataset_create_classes(1, x, lengths, 1, labels, 2, 0, &dataset), "datasets");
    LEFT_OUT(elman_dataset_create_values(1, x, lengths, 1, x, 1, 0, &dataset), "datasets");
    LEFT_OUT(elman_dataset_read_ts("data.ts", &dataset), "datasets");
    CHECK(dataset == NULL && elman_dataset_sequence_count(dataset) == 0);
    CHECK(elman_dataset_targets(dataset) == ELMAN_TARGETS_NONE);
    elman_dataset_destroy(dataset);
    LEFT_OUT(elman_standardize(network, dataset), "datasets");
    LEFT_OUT(elman_fit_options_init(&options, sizeof options), "datasets");
    LEFT_OUT(elman_fit(network, dataset, optimizer, NULL), "datasets");
    LEFT_OUT(elman_evaluate(network, dataset, NULL, NULL, NULL, NULL), "datasets");
    LEFT_OUT(elman_predict_dataset(network, dataset, 1, y), "datasets");
    elman_cancellation *cancellation;
    OK(elman_cancellation_create(&cancellation));
    elman_cancellation_destroy(cancellation);

    double error = -1.0;
    LEFT_OUT(elman_gradient_check(network, x, 1, 3, NULL, NULL, NULL, NULL, &error), "f64");
    CHECK(error == -1.0);

    elman_import_options import;
    LEFT_OUT(elman_import_options_init(&import, sizeof import), "import");
    LEFT_OUT(elman_import("model.onnx", NULL, &other), "import");
    LEFT_OUT(elman_import_memory((const uint8_t *)"{}", 2, NULL, &other), "import");
    LEFT_OUT(elman_save_onnx(network, "model.onnx"), "import");
    CHECK(other == NULL);

    /* By its name, too. */
    const uint64_t arguments[] = {(uintptr_t)network, (uintptr_t) "model.onnx"};
    char message[1024];
    CHECK(elman_call("elman_save_onnx", arguments, 2, message, sizeof message) == ELMAN_ERROR_UNSUPPORTED);
    CHECK(strstr(message, "'import'") != NULL);

    elman_session_destroy(session);
    elman_optimizer_destroy(optimizer);
    elman_destroy(network);
    puts("ok");
    return 0;
}
