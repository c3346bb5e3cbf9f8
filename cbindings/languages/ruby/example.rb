# frozen_string_literal: true

# A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.
require_relative "elman"

COUNT = 100
STEPS = 24
CLASSES = 2

# A linear congruential generator, the same one in every language.
$state = 1
def random
  $state = ($state * 1_664_525 + 1_013_904_223) % 2**32
end

# Square waves of period 4 (class 0) and 6 (class 1) in noise.
def waves
  (0...COUNT).flat_map do |i|
    period = 4 + 2 * (i % CLASSES)
    phase = (random >> 16) % period
    (0...STEPS).map do |step|
      wave = (step + phase) % period < period / 2 ? 0.5 : -0.5
      wave + (random >> 8) / 2.0**24 - 0.5
    end
  end
end

# A number that changes with any bit of the values.
def digest(values)
  values.pack("f*").unpack("L*").reduce(0) { |sum, bits| (sum * 31 + bits) % 2**32 }
end

def same(a, b)
  a == b ? "the same bits" : "OTHER BITS"
end

def hex(loss)
  [loss].pack("d").unpack1("Q")
end

x = waves
test_x = waves
labels = (0...COUNT).map { |i| i % CLASSES }

network = Elman::Network.new(1)
network.set_seed(42)
network.add_gru(12)
network.add_dense(CLASSES, Elman::LINEAR)
puts "elman #{Elman.version}, #{network.parameter_count} parameters"

# A step of training by hand.
adam = Elman::Optimizer.adam(0.01)
before, dy = Elman.softmax_cross_entropy(network.forward(x, COUNT, STEPS), labels, CLASSES)
network.backward(dy)
network.update(adam)
puts format("before training: loss %.3f", before)

# The others in one call.
network.fit(Elman::Dataset.classes(1, x, [STEPS] * COUNT, labels, CLASSES), adam, epochs: 40, batch_size: 10)

y = network.predict(test_x, COUNT, STEPS)
after, = Elman.softmax_cross_entropy(y, labels, CLASSES)
right = y.each_slice(CLASSES).zip(labels).count { |(no, yes), label| (yes > no) == (label == 1) }
puts format("after training: loss %.3f, %d of %d right", after, right, COUNT)

# The first sequence as a stream.
session = Elman::Session.new(network)
last = test_x.first(STEPS).map { |value| session.step([value]) }.last
puts "step by step: #{same(last, y.first(CLASSES))}"
session.reset
puts "as a block: #{same(session.run(test_x.first(STEPS)).last(CLASSES), y.first(CLASSES))}"

path = "waves.safetensors"
network.save(path)
puts "saved and loaded: #{same(Elman::Network.load(path).predict(test_x, COUNT, STEPS), y)}"
File.delete(path)

begin
  Elman::Network.load("missing.safetensors")
rescue Elman::Error => e
  puts "error: #{e.message}"
end
puts format("bits: %016x %016x %08x %08x", hex(before), hex(after), digest(network.parameters), digest(y))
