# frozen_string_literal: true

require "minitest/autorun"
require "tmpdir"
require_relative "elman"

class ElmanTest < Minitest::Test
  include Elman

  def small
    network = Network.new(2)
    network.set_seed(7)
    network.add_lstm(3)
    network.add_dense(2, LINEAR)
    network
  end

  def fails(status, part, &call)
    error = assert_raises(Error, &call)
    assert_equal status, error.status, error.message
    assert_includes error.message, part
  end

  def refuses(part, &call)
    assert_includes assert_raises(ArgumentError, &call).message, part
  end

  def test_the_library_names_what_is_wrong
    network = small
    fails(ERROR_ZERO_SIZE, "units") { network.add_gru(0) }
    fails(ERROR_UNKNOWN_CONSTANT, "99") { network.add_rnn(3, 99) }
    fails(ERROR_OUT_OF_RANGE, "1.5") { network.add_dropout(1.5) }
    fails(ERROR_LENGTH, "5") { network.parameters = [0] * 5 }
    fails(ERROR_OUT_OF_RANGE, "-1") { Optimizer.sgd(-1) }
    assert_raises(ArgumentError) { Network.load("a\0b") }
  end

  def test_messages_belong_to_their_threads
    Array.new(20) do |thread|
      Thread.new do
        100.times { |turn| fails(ERROR_IO, "missing-#{thread}-#{turn}:") { Network.load("missing-#{thread}-#{turn}") } }
      end
    end.each(&:join)
  end

  def test_lengths_are_checked_before_the_call
    network = small
    session = Session.new(network)
    refuses("x has 11") { network.predict([0] * 11, 2, 3) }
    refuses("lengths") { network.forward([0] * 12, 2, 3, [3]) }
    fails(ERROR_OUT_OF_RANGE, "length") { network.forward([0] * 12, 2, 3, [3, -1]) }
    assert_raises(TypeError) { network.predict(["0"] * 12, 2, 3) }
    network.forward([0] * 12, 2, 3)
    refuses("expected 4") { network.backward([0] * 3) }
    refuses("x has 1") { session.step([0]) }
    refuses("x has 5") { session.run([0] * 5) }
    refuses("logits") { Elman.softmax_cross_entropy([0] * 3, [0, 1], 2) }
    refuses("expected 4") { Dataset.classes(1, [0] * 3, [2, 2], [0, 1], 2) }
    refuses("units is 1.5") { network.add_gru(1.5) }
    refuses("units is -1") { network.add_gru(-1) }
    refuses("epochs is -1") { Elman.options("elman_fit_options", epochs: -1) }
    assert_raises(NoMethodError) { Elman.options("elman_fit_options", epoch: 1) }
  end

  def test_calls_after_close_fail
    network = small
    session = Session.new(network)
    2.times { network.close }
    fails(ERROR_NULL, "network") { network.set_seed(1) }
    session.step([0, 0])
    session.close
    fails(ERROR_NULL, "session") { session.reset }
  end

  def test_the_collector_frees_what_nobody_closes
    200.times { Session.new(small) }
    GC.start
    assert_equal 2, small.predict([0, 0], 1, 1).size
  end

  def test_shorter_sequences_of_a_batch
    network = small
    network.set_output(OUTPUT_ALL)
    y = network.predict([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 9, 9], 2, 3, [3, 2])
    assert_equal y[0, 4], y[6, 4]
    assert_equal [0, 0], y[10, 2]
  end

  def test_every_function_can_be_reached
    network = Network.new(2)
    network.add_lstm(3, Elman.options("elman_recurrent_options", direction: BIDIRECTIONAL, projection: 2))
    assert_equal [4, 1], [network.output_size, network.layer_count]
    fails(ERROR_MISMATCH, "looks ahead") { Session.new(network) }
    info = C::STRUCTS["elman_layer_info"].malloc(Fiddle::RUBY_FREE)
    network.get_layer_info(0, info, info.class.size)
    assert_equal LAYER_LSTM, info.kind
  end

  def test_a_loop_of_ones_own_learns_and_fit_does_too
    network = Network.new(1)
    network.add_rnn(8, TANH)
    network.add_dense(1, LINEAR)
    network.initialize_parameters(INIT_GLOROT_UNIFORM, 1, 3)
    x, adam = [0.1, 0.5, 0.9, 0.8, 0.4, 0.2], Optimizer.adam(0.02)
    losses = Array.new(100) do
      loss, dy = Elman.mean_squared_error(network.forward(x, 2, 3), [1, -1])
      network.backward(dy)
      network.update(adam)
      loss
    end
    assert_operator losses.last, :<, losses.first / 100
    data = Dataset.values(1, x, [3, 3], [-1, 1], 1)
    network.fit(data, adam, loss: LOSS_MEAN_SQUARED_ERROR, epochs: 200)
    assert_operator network.evaluate(data, loss: LOSS_MEAN_SQUARED_ERROR).first, :<, 0.01
  end

  def test_files_keep_every_parameter
    Dir.mktmpdir do |directory|
      path = "#{directory}/gewürz.safetensors"
      network = small
      network.save(path)
      assert_equal network.parameters, Network.load(path).parameters
      assert_equal network.parameters, Network.import(path).parameters
    end
  end
end
