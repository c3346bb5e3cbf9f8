/* The functions of elman.h that R calls. Sizes and lengths are checked here, types in R. */
#include <elman.h>
#include <math.h>
#include <string.h>
#include <R.h>
#include <Rinternals.h>
#include <R_ext/Rdynload.h>

/* Signals a condition of the class elman_error. */
static void check(elman_status status) {
    if (status == ELMAN_OK) return;
    SEXP message = PROTECT(Rf_ScalarString(Rf_mkCharCE(elman_last_error(), CE_UTF8)));
    SEXP number = PROTECT(Rf_ScalarInteger(status));
    SEXP name = PROTECT(Rf_mkString("elman"));
    SEXP stop = PROTECT(Rf_lang3(Rf_install("stop_with"), message, number));
    Rf_eval(stop, R_FindNamespace(name));
    UNPROTECT(4);
}

static void expect_length(const char *name, SEXP values, double expected) {
    if ((double)XLENGTH(values) != expected)
        Rf_error("%s has %.0f elements, expected %.0f", name, (double)XLENGTH(values), expected);
}

static size_t size(const char *name, SEXP value) {
    const double number = Rf_asReal(value);
    if (!(number >= 0 && number <= 9007199254740992.0 && number == floor(number)))
        Rf_error("%s is %g, expected an integer of at least 0", name, number);
    return (size_t)number;
}

static float *room(double count) { return (float *)R_alloc((size_t)count, sizeof(float)); }

static float *floats(SEXP values) {
    float *copy = room((double)XLENGTH(values));
    for (R_xlen_t i = 0; i < XLENGTH(values); i++) copy[i] = (float)REAL(values)[i];
    return copy;
}

static SEXP doubles(const float *values, double count) {
    SEXP copy = Rf_allocVector(REALSXP, (R_xlen_t)count);
    for (R_xlen_t i = 0; i < XLENGTH(copy); i++) REAL(copy)[i] = values[i];
    return copy;
}

static size_t *sizes(const char *name, SEXP values) {
    size_t *copy = (size_t *)R_alloc((size_t)XLENGTH(values), sizeof(size_t));
    for (R_xlen_t i = 0; i < XLENGTH(values); i++) copy[i] = size(name, Rf_ScalarReal(REAL(values)[i]));
    return copy;
}

/* R counts classes from 1, and NA is none. */
static size_t *labels_of(SEXP labels) {
    size_t *copy = (size_t *)R_alloc((size_t)XLENGTH(labels), sizeof(size_t));
    for (R_xlen_t i = 0; i < XLENGTH(labels); i++) {
        const int label = INTEGER(labels)[i];
        if (label != NA_INTEGER && label < 1) Rf_error("labels[%.0f] is %d, expected at least 1", (double)i + 1, label);
        copy[i] = label == NA_INTEGER ? ELMAN_NO_LABEL : (size_t)label - 1;
    }
    return copy;
}

static const char *path_of(SEXP path) { return Rf_translateCharUTF8(STRING_ELT(path, 0)); }

/* An object of the library's is an external pointer, which is there before the object, so that nothing is lost. */
static SEXP object(const char *kind, R_CFinalizer_t finalizer) {
    SEXP pointer = PROTECT(R_MakeExternalPtr(NULL, Rf_install(kind), R_NilValue));
    R_RegisterCFinalizerEx(pointer, finalizer, TRUE);
    SEXP class = PROTECT(Rf_mkString(kind));
    Rf_classgets(pointer, class);
    UNPROTECT(2);
    return pointer;
}

static void *pointer(SEXP object, const char *kind) {
    if (TYPEOF(object) != EXTPTRSXP || R_ExternalPtrTag(object) != Rf_install(kind)) Rf_error("expected an %s", kind);
    return R_ExternalPtrAddr(object);
}

#define KIND(kind, destroy)                                                                                            \
    static void finalize_##kind(SEXP object) {                                                                         \
        destroy(R_ExternalPtrAddr(object));                                                                            \
        R_ClearExternalPtr(object);                                                                                    \
    }                                                                                                                  \
    static elman_##kind *kind##_of(SEXP object) { return pointer(object, "elman_" #kind); }

KIND(network, elman_destroy)
KIND(session, elman_session_destroy)
KIND(optimizer, elman_optimizer_destroy)
KIND(dataset, elman_dataset_destroy)

/* Makes an object of a kind by a call that ends with `&made`. */
#define MAKE(kind, call)                                                                                               \
    do {                                                                                                               \
        SEXP object_ = PROTECT(object("elman_" #kind, finalize_##kind));                                               \
        elman_##kind *made;                                                                                            \
        check(call);                                                                                                   \
        R_SetExternalPtrAddr(object_, made);                                                                           \
        UNPROTECT(1);                                                                                                  \
        return object_;                                                                                                \
    } while (0)

static SEXP version(void) { return Rf_mkString(elman_version()); }
static SEXP close_object(SEXP object) {
    const SEXP kind = R_ExternalPtrTag(object);
    if (kind == Rf_install("elman_network")) finalize_network(object);
    if (kind == Rf_install("elman_session")) finalize_session(object);
    if (kind == Rf_install("elman_optimizer")) finalize_optimizer(object);
    if (kind == Rf_install("elman_dataset")) finalize_dataset(object);
    return R_NilValue;
}

static SEXP network(SEXP input_size) { MAKE(network, elman_create(size("input_size", input_size), &made)); }
static SEXP load(SEXP path) { MAKE(network, elman_load(path_of(path), &made)); }
static SEXP import(SEXP path) { MAKE(network, elman_import(path_of(path), NULL, &made)); }
static SEXP save(SEXP network, SEXP path) {
    check(elman_save(network_of(network), path_of(path)));
    return network;
}
static SEXP set_seed(SEXP network, SEXP seed) {
    check(elman_set_seed(network_of(network), size("seed", seed)));
    return network;
}
static SEXP set_threads(SEXP network, SEXP threads) {
    check(elman_set_threads(network_of(network), size("threads", threads)));
    return network;
}
static SEXP set_output(SEXP network, SEXP all) {
    check(elman_set_output(network_of(network), Rf_asLogical(all) ? ELMAN_OUTPUT_ALL : ELMAN_OUTPUT_LAST));
    return network;
}
static SEXP initialize(SEXP network, SEXP scheme, SEXP scale, SEXP seed) {
    check(elman_initialize(network_of(network), (uint32_t)Rf_asInteger(scheme), (float)Rf_asReal(scale), size("seed", seed)));
    return network;
}
static SEXP add_rnn(SEXP network, SEXP units, SEXP activation) {
    check(elman_add_rnn(network_of(network), size("units", units), (uint32_t)Rf_asInteger(activation)));
    return network;
}
static SEXP add_gru(SEXP network, SEXP units) {
    check(elman_add_gru(network_of(network), size("units", units), NULL));
    return network;
}
static SEXP add_lstm(SEXP network, SEXP units) {
    check(elman_add_lstm(network_of(network), size("units", units), NULL));
    return network;
}
static SEXP add_dense(SEXP network, SEXP units, SEXP activation) {
    check(elman_add_dense(network_of(network), size("units", units), (uint32_t)Rf_asInteger(activation)));
    return network;
}
static SEXP add_dropout(SEXP network, SEXP rate) {
    check(elman_add_dropout(network_of(network), (float)Rf_asReal(rate)));
    return network;
}

/* Features of a step of the input and of the output, and whether there are outputs of all steps. */
static SEXP shape(SEXP network) {
    const elman_network *n = network_of(network);
    SEXP shape = Rf_allocVector(REALSXP, 3);
    REAL(shape)[0] = (double)elman_input_size(n);
    REAL(shape)[1] = (double)elman_output_size(n);
    REAL(shape)[2] = elman_output(n) == ELMAN_OUTPUT_ALL;
    return shape;
}
static SEXP parameters(SEXP network) {
    const elman_network *n = network_of(network);
    const size_t count = elman_parameter_count(n);
    float *values = room((double)count);
    check(elman_get_parameters(n, values, count));
    return doubles(values, (double)count);
}
static SEXP set_parameters(SEXP network, SEXP values) {
    check(elman_set_parameters(network_of(network), floats(values), (size_t)XLENGTH(values)));
    return network;
}

static SEXP pass(SEXP network, SEXP x, SEXP steps, SEXP batch, SEXP lengths, SEXP training) {
    elman_network *n = network_of(network);
    const double t = (double)size("steps", steps), b = (double)size("batch", batch);
    expect_length("x", x, t * b * (double)elman_input_size(n));
    if (lengths != R_NilValue) expect_length("lengths", lengths, b);
    const double count = b * (elman_output(n) == ELMAN_OUTPUT_ALL ? t : 1) * (double)elman_output_size(n);
    float *y = room(count);
    const size_t *each = lengths == R_NilValue ? NULL : sizes("lengths", lengths);
    if (Rf_asLogical(training)) {
        check(elman_forward(n, floats(x), (size_t)b, (size_t)t, each, NULL, y, NULL));
        SEXP outputs = PROTECT(Rf_ScalarReal(count));
        R_SetExternalPtrProtected(network, outputs);
        UNPROTECT(1);
    } else {
        check(elman_predict(n, floats(x), (size_t)b, (size_t)t, each, NULL, y, NULL));
    }
    return doubles(y, count);
}
static SEXP backward(SEXP network, SEXP dy) {
    elman_network *n = network_of(network);
    const SEXP outputs = R_ExternalPtrProtected(network);
    expect_length("dy", dy, outputs == R_NilValue ? 0 : REAL(outputs)[0]);
    check(elman_backward(n, floats(dy), NULL, NULL, NULL));
    return network;
}
static SEXP update(SEXP network, SEXP optimizer) {
    check(elman_update(network_of(network), optimizer_of(optimizer)));
    return network;
}

static elman_fit_options options_of(SEXP loss) {
    elman_fit_options options;
    check(elman_fit_options_init(&options, sizeof options));
    options.loss = (uint32_t)Rf_asInteger(loss);
    return options;
}
static SEXP fit(SEXP network, SEXP dataset, SEXP optimizer, SEXP loss, SEXP epochs, SEXP batch_size, SEXP seed,
                SEXP clip_norm, SEXP average) {
    elman_fit_options options = options_of(loss);
    options.epochs = size("epochs", epochs);
    options.batch_size = size("batch_size", batch_size);
    options.seed = size("seed", seed);
    options.average = Rf_asLogical(average) ? 1 : 0;
    if (R_finite(Rf_asReal(clip_norm))) {
        options.clip = ELMAN_CLIP_NORM;
        options.clip_limit = Rf_asReal(clip_norm);
    }
    check(elman_fit(network_of(network), dataset_of(dataset), optimizer_of(optimizer), &options));
    return network;
}
static SEXP evaluate(SEXP network, SEXP dataset, SEXP loss) {
    const elman_fit_options options = options_of(loss);
    SEXP result = PROTECT(Rf_allocVector(REALSXP, 2));
    check(elman_evaluate(network_of(network), dataset_of(dataset), &options, &REAL(result)[0], &REAL(result)[1], NULL));
    UNPROTECT(1);
    return result;
}

static double total(SEXP lengths) {
    double sum = 0;
    for (R_xlen_t i = 0; i < XLENGTH(lengths); i++) sum += REAL(lengths)[i];
    return sum;
}
static SEXP classes(SEXP input_size, SEXP x, SEXP lengths, SEXP labels, SEXP classes) {
    const size_t features = size("input_size", input_size);
    const size_t *each = sizes("lengths", lengths);
    expect_length("x", x, (double)features * total(lengths));
    expect_length("labels", labels, (double)XLENGTH(lengths));
    MAKE(dataset, elman_dataset_create_classes(features, floats(x), each, (size_t)XLENGTH(lengths), labels_of(labels),
                                               size("classes", classes), 0, &made));
}
static SEXP values(SEXP input_size, SEXP x, SEXP lengths, SEXP values, SEXP width) {
    const size_t features = size("input_size", input_size), each_value = size("size", width);
    const size_t *each = sizes("lengths", lengths);
    expect_length("x", x, (double)features * total(lengths));
    expect_length("values", values, (double)XLENGTH(lengths) * (double)each_value);
    MAKE(dataset, elman_dataset_create_values(features, floats(x), each, (size_t)XLENGTH(lengths), floats(values), each_value,
                                              0, &made));
}

static SEXP sgd(SEXP learning_rate, SEXP momentum) {
    MAKE(optimizer, elman_sgd_create(Rf_asReal(learning_rate), Rf_asReal(momentum), 0, 0, &made));
}
static SEXP adam(SEXP learning_rate) {
    MAKE(optimizer, elman_adam_create(Rf_asReal(learning_rate), 0.9, 0.999, 1e-8, 0, &made));
}

/* A loss and its gradient. */
static SEXP loss_of(double loss, const float *gradient, double count) {
    const char *names[] = {"loss", "gradient", ""};
    SEXP result = PROTECT(Rf_mkNamed(VECSXP, names));
    SET_VECTOR_ELT(result, 0, Rf_ScalarReal(loss));
    SET_VECTOR_ELT(result, 1, doubles(gradient, count));
    UNPROTECT(1);
    return result;
}
static SEXP cross_entropy(SEXP logits, SEXP labels, SEXP classes) {
    const size_t rows = (size_t)XLENGTH(labels), width = size("classes", classes);
    const double count = (double)rows * (double)width;
    expect_length("logits", logits, count);
    float *gradient = room(count);
    double loss;
    check(elman_softmax_cross_entropy(floats(logits), labels_of(labels), rows, width, &loss, gradient));
    return loss_of(loss, gradient, count);
}
static SEXP squared_error(SEXP y, SEXP targets) {
    const double count = (double)XLENGTH(y);
    expect_length("targets", targets, count);
    float *gradient = room(count);
    double loss;
    check(elman_mean_squared_error(floats(y), floats(targets), (size_t)count, &loss, gradient));
    return loss_of(loss, gradient, count);
}

static SEXP session(SEXP network) { MAKE(session, elman_session_create(network_of(network), &made)); }
static SEXP step(SEXP session, SEXP x) {
    elman_session *s = session_of(session);
    const double outputs = (double)elman_session_get_output_size(s);
    expect_length("x", x, (double)elman_session_get_input_size(s));
    float *y = room(outputs);
    check(elman_session_step(s, floats(x), y));
    return doubles(y, outputs);
}
static SEXP run(SEXP session, SEXP x, SEXP steps) {
    elman_session *s = session_of(session);
    const double t = (double)size("steps", steps), outputs = t * (double)elman_session_get_output_size(s);
    expect_length("x", x, t * (double)elman_session_get_input_size(s));
    float *y = room(outputs);
    check(elman_session_run(s, floats(x), (size_t)t, y));
    return doubles(y, outputs);
}
static SEXP reset(SEXP session) {
    check(elman_session_reset(session_of(session)));
    return session;
}

#define FUNCTION(name, count) {"C_" #name, (DL_FUNC) & name, count}
static const R_CallMethodDef functions[] = {
    FUNCTION(version, 0), FUNCTION(close_object, 1), FUNCTION(network, 1), FUNCTION(load, 1), FUNCTION(import, 1),
    FUNCTION(save, 2), FUNCTION(set_seed, 2), FUNCTION(set_threads, 2), FUNCTION(set_output, 2), FUNCTION(initialize, 4),
    FUNCTION(add_rnn, 3), FUNCTION(add_gru, 2), FUNCTION(add_lstm, 2), FUNCTION(add_dense, 3), FUNCTION(add_dropout, 2),
    FUNCTION(shape, 1), FUNCTION(parameters, 1), FUNCTION(set_parameters, 2), FUNCTION(pass, 6), FUNCTION(backward, 2),
    FUNCTION(update, 2), FUNCTION(fit, 9), FUNCTION(evaluate, 3), FUNCTION(classes, 5), FUNCTION(values, 5), FUNCTION(sgd, 2),
    FUNCTION(adam, 1), FUNCTION(cross_entropy, 3), FUNCTION(squared_error, 2), FUNCTION(session, 1), FUNCTION(step, 2),
    FUNCTION(run, 3), FUNCTION(reset, 1), {NULL, NULL, 0},
};

void R_init_elman(DllInfo *info) {
    R_registerRoutines(info, NULL, functions, NULL, NULL);
    R_useDynamicSymbols(info, FALSE);
}
