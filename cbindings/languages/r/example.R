# A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.
library(elman)

COUNT <- 100
STEPS <- 24

# A linear congruential generator, the same one in every language.
state <- 1
random <- function() {
  state <<- (state * 1664525 + 1013904223) %% 2^32
  state
}

# Square waves of period 4 (class 1) and 6 (class 2) in noise, [features, steps, sequences].
waves <- function() {
  x <- array(0, c(1, STEPS, COUNT))
  for (i in seq_len(COUNT)) {
    period <- 4 + 2 * ((i - 1) %% 2)
    phase <- (random() %/% 2^16) %% period
    for (step in seq_len(STEPS)) {
      wave <- if ((step - 1 + phase) %% period < period / 2) 0.5 else -0.5
      x[1, step, i] <- wave + (random() %/% 2^8) / 2^24 - 0.5
    }
  }
  x
}

# A number that changes with any bit of the values.
digest <- function(values) {
  halves <- readBin(writeBin(as.double(values), raw(), size = 4), "integer", 2 * length(values), size = 2, signed = FALSE)
  bits <- halves[c(TRUE, FALSE)] + 2^16 * halves[c(FALSE, TRUE)]
  Reduce(function(sum, value) (sum * 31 + value) %% 2^32, bits, 0)
}

hex <- function(loss) paste(writeBin(loss, raw(), endian = "big"), collapse = "")
hex32 <- function(value) sprintf("%04x%04x", value %/% 2^16, value %% 2^16)
same <- function(a, b) if (identical(as.vector(a), as.vector(b))) "the same bits" else "OTHER BITS"

x <- waves()
test_x <- waves()
labels <- rep(1:2, COUNT / 2)

network <- elman_network(1) |> elman_set_seed(42) |> elman_add_gru(12) |> elman_add_dense(2)
cat(sprintf("elman %s, %d parameters\n", elman_version(), length(elman_parameters(network))))

# A step of training by hand.
adam <- elman_adam(0.01)
before <- elman_softmax_cross_entropy(elman_forward(network, x), labels)
network |> elman_backward(before$gradient) |> elman_update(adam)
cat(sprintf("before training: loss %.3f\n", before$loss))

# The others in one call.
elman_fit(network, elman_classes(x, labels), adam, epochs = 40, batch_size = 10)

y <- predict(network, test_x)
after <- elman_softmax_cross_entropy(y, labels)
right <- sum((y[2, ] > y[1, ]) == (labels == 2))
cat(sprintf("after training: loss %.3f, %d of %d right\n", after$loss, right, COUNT))

# The first sequence as a stream.
session <- elman_session(network)
for (step in seq_len(STEPS)) last <- elman_step(session, test_x[, step, 1])
cat("step by step:", same(last, y[, 1]), fill = TRUE)
elman_reset(session)
all <- elman_run(session, matrix(test_x[, , 1], nrow = 1))
cat("as a block:", same(all[, STEPS], y[, 1]), fill = TRUE)

path <- "waves.safetensors"
elman_save(network, path)
cat("saved and loaded:", same(predict(elman_load(path), test_x), y), fill = TRUE)
invisible(file.remove(path))

tryCatch(elman_load("missing.safetensors"), elman_error = function(e) cat("error: ", conditionMessage(e), "\n", sep = ""))
cat("bits:", hex(before$loss), hex(after$loss), hex32(digest(elman_parameters(network))), hex32(digest(y)), fill = TRUE)
