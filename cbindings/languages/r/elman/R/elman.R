# Recurrent networks on the CPU, through the C library elman. What each call does is in elman.h, by the same name.
#
# Sequences are arrays [features, steps, sequences], which lie as elman's [sequences][steps][features] do. A call of the library
# that fails signals a condition of the class elman_error, with `status`, the number of an ELMAN_ERROR_ constant. Functions that
# change a network give it back, for pipes.

stop_with <- function(message, status) {
  stop(structure(class = c("elman_error", "error", "condition"), list(message = message, call = NULL, status = status)))
}

ACTIVATIONS <- c("tanh", "relu", "sigmoid", "linear", "hard_sigmoid", "hard_tanh", "leaky_relu", "elu", "softsign", "softplus",
                 "affine", "scaled_tanh", "thresholded_relu")
INITIALIZERS <- c("pytorch", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "orthogonal", "identity", "gaussian",
                  "constant", "keras")
LOSSES <- c("softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy")

constant <- function(names, name) match(match.arg(name, names), names) - 1L

elman_version <- function() .Call(C_version)

# Networks, sessions, optimizers and data sets are freed by the garbage collector, or at once by elman_close().
elman_close <- function(object) invisible(.Call(C_close_object, object))

elman_network <- function(input_size) .Call(C_network, input_size)
elman_load <- function(path) .Call(C_load, path.expand(path))
# A network of another system: PyTorch, ONNX and others.
elman_import <- function(path) .Call(C_import, path.expand(path))
elman_save <- function(network, path) invisible(.Call(C_save, network, path.expand(path)))

elman_set_seed <- function(network, seed) invisible(.Call(C_set_seed, network, seed))
elman_set_threads <- function(network, threads) invisible(.Call(C_set_threads, network, threads))
elman_set_output_all <- function(network, all = TRUE) invisible(.Call(C_set_output, network, all))
elman_initialize <- function(network, scheme, scale = 1, seed = 0)
  invisible(.Call(C_initialize, network, constant(INITIALIZERS, scheme), scale, seed))
elman_add_rnn <- function(network, units, activation = "tanh")
  invisible(.Call(C_add_rnn, network, units, constant(ACTIVATIONS, activation)))
elman_add_gru <- function(network, units) invisible(.Call(C_add_gru, network, units))
elman_add_lstm <- function(network, units) invisible(.Call(C_add_lstm, network, units))
elman_add_dense <- function(network, units, activation = "linear")
  invisible(.Call(C_add_dense, network, units, constant(ACTIVATIONS, activation)))
elman_add_dropout <- function(network, rate) invisible(.Call(C_add_dropout, network, rate))

elman_input_size <- function(network) .Call(C_shape, network)[1]
elman_output_size <- function(network) .Call(C_shape, network)[2]
elman_parameters <- function(network) .Call(C_parameters, network)
elman_set_parameters <- function(network, parameters) invisible(.Call(C_set_parameters, network, as.double(parameters)))

pass <- function(network, x, lengths, training) {
  size <- dim(x)
  if (length(size) != 3) stop("x has ", length(size), " dimensions, expected features, steps, sequences")
  if (!is.null(lengths)) lengths <- as.double(lengths)
  shape <- .Call(C_shape, network)
  y <- .Call(C_pass, network, as.double(x), size[2], size[3], lengths, training)
  dim(y) <- c(shape[2], if (shape[3] == 1) size[2], size[3])
  y
}

# The outputs of the last steps, [output size, sequences], or of all, [output size, steps, sequences]. So many steps of each
# sequence count as `lengths` says, or all.
predict.elman_network <- function(object, x, lengths = NULL, ...) pass(object, x, lengths, FALSE)
# As predict(), but for training: it keeps what elman_backward() needs.
elman_forward <- function(network, x, lengths = NULL) pass(network, x, lengths, TRUE)
elman_backward <- function(network, dy) invisible(.Call(C_backward, network, as.double(dy)))
elman_update <- function(network, optimizer) invisible(.Call(C_update, network, optimizer))

# x is an array [features, steps, sequences], or a list of matrices [features, steps] where sequences differ in length.
sequences <- function(x) {
  if (is.list(x)) {
    features <- unique(vapply(x, nrow, 1L))
    if (length(features) != 1) stop("the matrices of x differ in their numbers of rows, the features")
    return(list(features = features, x = as.double(unlist(x)), lengths = vapply(x, ncol, 1L) + 0))
  }
  size <- dim(x)
  if (length(size) != 3) stop("x has ", length(size), " dimensions, expected features, steps, sequences")
  list(features = size[1], x = as.double(x), lengths = rep(size[2] + 0, size[3]))
}

# A class for each sequence: a factor, or numbers from 1; NA where it has none.
elman_classes <- function(x, labels, classes = if (is.factor(labels)) nlevels(labels) else max(labels, na.rm = TRUE)) {
  x <- sequences(x)
  .Call(C_classes, x$features, x$x, x$lengths, as.integer(labels), classes)
}
# A vector of numbers for each sequence, values [size, sequences].
elman_values <- function(x, values) {
  x <- sequences(x)
  .Call(C_values, x$features, x$x, x$lengths, as.double(values), NROW(values))
}

elman_sgd <- function(learning_rate, momentum = 0) .Call(C_sgd, learning_rate, momentum)
elman_adam <- function(learning_rate = 0.001) .Call(C_adam, learning_rate)

# average: whether the network gets a mean of its parameters over the epochs, in which later ones count for more.
elman_fit <- function(network, dataset, optimizer, epochs = 30, batch_size = 16, seed = 0, clip_norm = Inf, loss = LOSSES[1],
                      average = FALSE)
  invisible(.Call(C_fit, network, dataset, optimizer, constant(LOSSES, loss), epochs, batch_size, seed, clip_norm, average))
elman_evaluate <- function(network, dataset, loss = LOSSES[1]) {
  result <- .Call(C_evaluate, network, dataset, constant(LOSSES, loss))
  list(loss = result[1], accuracy = result[2])
}

# The loss of logits [classes, rows] and its gradient; labels as in elman_classes().
elman_softmax_cross_entropy <- function(logits, labels)
  .Call(C_cross_entropy, as.double(logits), as.integer(labels), NROW(logits))
elman_mean_squared_error <- function(y, targets) .Call(C_squared_error, as.double(y), as.double(targets))

# One sequence in steps or blocks of steps, with the bits of the whole sequence.
elman_session <- function(network) .Call(C_session, network)
elman_step <- function(session, x) .Call(C_step, session, as.double(x))
# x [features, steps]; gives [output size, steps].
elman_run <- function(session, x) {
  y <- .Call(C_run, session, as.double(x), ncol(x))
  matrix(y, ncol = ncol(x))
}
elman_reset <- function(session) invisible(.Call(C_reset, session))
