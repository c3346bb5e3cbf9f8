# The tests of the package: any that fails stops.
library(elman)

fails <- function(status, part, call) {
  problem <- tryCatch({
    call
    NULL
  }, elman_error = identity)
  if (is.null(problem)) stop("no error with ", part)
  stopifnot(problem$status == status, grepl(part, conditionMessage(problem), fixed = TRUE))
}
refuses <- function(part, call) {
  problem <- tryCatch({
    call
    NULL
  }, error = identity)
  if (is.null(problem)) stop("no error with ", part)
  stopifnot(!inherits(problem, "elman_error"), grepl(part, conditionMessage(problem), fixed = TRUE))
}
small <- function() elman_network(2) |> elman_set_seed(7) |> elman_add_lstm(3) |> elman_add_dense(2)

# The library names what is wrong.
network <- small()
fails(4, "units", elman_add_gru(network, 0))
fails(7, "1.5", elman_add_dropout(network, 1.5))
fails(6, "5", elman_set_parameters(network, numeric(5)))
fails(7, "-1", elman_sgd(-1))
for (i in 1:100) fails(15, paste0("missing-", i, ":"), elman_load(paste0("missing-", i)))

# Kinds, lengths and numbers are checked before the call.
session <- elman_session(network)
refuses("dimensions", predict(network, numeric(12)))
refuses("x has 18 elements, expected 12", predict(network, array(0, c(3, 3, 2))))
refuses("lengths has 1", elman_forward(network, array(0, c(2, 3, 2)), lengths = 3))
refuses("lengths is -1", elman_forward(network, array(0, c(2, 3, 2)), lengths = c(3, -1)))
fails(7, "length", elman_forward(network, array(0, c(2, 3, 2)), lengths = c(3, 4)))
invisible(elman_forward(network, array(0, c(2, 3, 2))))
refuses("expected 4", elman_backward(network, numeric(3)))
refuses("units is 1.5", elman_add_gru(network, 1.5))
refuses("arg", elman_add_rnn(network, 3, "sine"))
refuses("x has 1", elman_step(session, 0))
refuses("expected 4", elman_run(session, matrix(0, 1, 2)))
refuses("labels[2] is 0", elman_softmax_cross_entropy(matrix(0, 2, 2), c(1, 0)))
refuses("labels has 1", elman_classes(array(0, c(2, 3, 2)), 1, 2))
refuses("expected an elman_network", elman_session(session))

# Calls after elman_close() fail; sessions live on.
elman_close(network)
elman_close(network)
fails(1, "network", elman_set_seed(network, 1))
invisible(elman_step(session, c(1, 2)))
elman_close(session)
fails(1, "session", elman_reset(session))
for (i in 1:200) elman_session(small())
invisible(gc())

# Shorter sequences of a batch, as lengths and in data sets.
network <- small() |> elman_set_output_all()
y <- predict(network, array(c(1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 9, 9), c(2, 3, 2)), lengths = c(3, 2))
stopifnot(identical(dim(y), c(2L, 3L, 2L)), identical(y[, 1:2, 1], y[, 1:2, 2]), y[, 3, 2] == 0)
ragged <- elman_classes(list(matrix(1, 2, 3), matrix(0, 2, 5), matrix(0, 2, 1)), factor(c("b", "a", NA)))
network <- small()
elman_fit(network, ragged, elman_adam(0.05), epochs = 50, clip_norm = 1)
stopifnot(elman_evaluate(network, ragged)$accuracy == 1)
of <- function(epochs, average) {
  network <- small()
  elman_fit(network, ragged, elman_sgd(0.1), epochs = epochs, average = average)
  elman_parameters(network)
}
stopifnot(!identical(of(2, TRUE), of(2, FALSE)), abs(of(2, TRUE) - 0.1 * of(1, FALSE) - 0.9 * of(2, FALSE)) < 1e-6)

# A loop of one's own learns, and elman_fit() does, too.
network <- elman_network(1) |> elman_add_rnn(8) |> elman_add_dense(1) |> elman_initialize("glorot_uniform", seed = 3)
x <- array(c(0.1, 0.5, 0.9, 0.8, 0.4, 0.2), c(1, 3, 2))
adam <- elman_adam(0.02)
losses <- vapply(1:100, function(i) {
  now <- elman_mean_squared_error(elman_forward(network, x), c(1, -1))
  network |> elman_backward(now$gradient) |> elman_update(adam)
  now$loss
}, 0)
stopifnot(losses[100] < losses[1] / 100)
data <- elman_values(x, matrix(c(-1, 1), 1))
elman_fit(network, data, adam, epochs = 200, loss = "mean_squared_error")
stopifnot(elman_evaluate(network, data, "mean_squared_error")$loss < 0.01)

# Files keep every parameter.
path <- tempfile()
elman_save(network, path)
for (read in list(elman_load, elman_import)) stopifnot(identical(elman_parameters(read(path)), elman_parameters(network)))
