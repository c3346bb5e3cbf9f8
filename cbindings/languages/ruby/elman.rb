# frozen_string_literal: true

require "fiddle/import"

# Recurrent networks on the CPU, through the C library elman and Fiddle.
#
# The declarations are those of the header that is installed with the library, below the directory that ELMAN_PREFIX names.
# Constants of elman.h are constants here: ELMAN_TANH is Elman::TANH. Objects have the functions that take them first as
# methods: network.add_gru(12) is elman_add_gru(network, 12, NULL). Pointers at the end may be left out.
#
# Buffers are arrays of numbers. A call that fails raises Elman::Error; calls of other Ruby threads go on meanwhile.
module Elman
  # What a call of the library says that has failed: its message, and the number of an ELMAN_ERROR_ constant.
  class Error < StandardError
    attr_reader :status

    def initialize(message, status)
      super(message)
      @status = status
    end
  end

  # The functions and structs of the header.
  module C
    extend Fiddle::Importer

    PREFIX = ENV.fetch("ELMAN_PREFIX", "/usr/local")
    LIBRARY = case RUBY_PLATFORM
              when /darwin/ then "lib/libelman.dylib"
              when /mingw|mswin/ then "bin/elman.dll"
              else "lib/libelman.so"
              end
    HEADER = File.read(File.join(PREFIX, "include/elman.h")).gsub(%r{/\*.*?\*/}m, "")
    dlload File.join(PREFIX, LIBRARY)

    TYPES = {
      "size_t" => Fiddle::TYPE_SIZE_T, "uint32_t" => -Fiddle::TYPE_INT, "uint64_t" => -Fiddle::TYPE_LONG_LONG,
      "elman_status" => Fiddle::TYPE_INT, "float" => Fiddle::TYPE_FLOAT, "double" => Fiddle::TYPE_DOUBLE,
      "void" => Fiddle::TYPE_VOID
    }.freeze

    def self.type(declaration)
      return Fiddle::TYPE_VOIDP if declaration.include?("*") || declaration.include?("_callback")

      TYPES.fetch(declaration[/\w+/])
    end

    # A function, the types of its arguments and their declarations, and whether it returns a status.
    Function = Struct.new(:function, :arguments, :declarations, :fails)

    FUNCTIONS = HEADER.scan(/^((?:const )?\w+ \*?)(elman_\w+)\(([^)]*)\);/).to_h do |result, name, list|
      list = list == "void" ? [] : list.split(",")
      arguments = list.map { |declaration| type(declaration) }
      function = Fiddle::Function.new(handler[name], arguments, type(result))
      [name, Function.new(function, arguments, list.map(&:strip), result.start_with?("elman_status"))]
    end.freeze

    STRUCTS = HEADER.scan(/^typedef struct \{([^}]*)\} (\w+);/).to_h do |body, name|
      [name, struct(body.gsub(/\w+_callback /, "void *").gsub("const ", "").split(";").map(&:strip).reject(&:empty?))]
    end.freeze
  end

  C::HEADER.scan(/^#define ELMAN_(\w+) (\d+)$/) { |name, value| const_set(name, value.to_i) }
  # The label of what has no class.
  NO_LABEL = -1

  class << self
    # Calls a function of the header by its name. Objects may stand for their pointers.
    def call(name, *arguments)
      declared = C::FUNCTIONS.fetch(name)
      values = arguments.map { |value| value.is_a?(Handle) ? value.pointer : value }
      declared.declarations.zip(values) { |declaration, value| check(declaration, value) }
      values << nil while values.size < declared.arguments.size && declared.arguments[values.size] == Fiddle::TYPE_VOIDP
      result = declared.function.call(*values)
      return result unless declared.fails

      # The message is that of the thread, which is this one: a Ruby thread has a native one to itself.
      raise Error.new(call("elman_last_error").to_s.force_encoding(Encoding::UTF_8), result) unless result.zero?
    end

    def create(name, *arguments)
      out = Fiddle::Pointer.malloc(Fiddle::SIZEOF_VOIDP, Fiddle::RUBY_FREE)
      call(name, *arguments, out)
      out.ptr
    end

    # A struct of options of the header with its defaults, and these fields set.
    def options(kind, **fields)
      options = C::STRUCTS.fetch(kind).malloc(Fiddle::RUBY_FREE)
      call("#{kind}_init", options, options.class.size)
      fields.each do |name, value|
        options.public_send("#{name}=", value)
        next if !value.is_a?(Numeric) || options.public_send(name) == value

        raise ArgumentError, "#{name} is #{value}, which is none of its type"
      end
      options
    end

    # Numbers as an array of float, of so many where `length` says.
    def floats(name, values, length = values.size)
      expect_length(name, values, length)
      values.pack("f*")
    end

    # Integers as an array of size_t.
    def sizes(name, values, length = values.size)
      expect_length(name, values, length)
      values.pack("j*")
    end

    def room(count)
      "\0" * (4 * count)
    end

    def version
      call("elman_version").to_s
    end

    # The loss of logits [labels.size][classes], and its gradient. A label of NO_LABEL does not count.
    def softmax_cross_entropy(logits, labels, classes)
      count = labels.size * classes
      loss, gradient = "\0" * 8, room(count)
      call("elman_softmax_cross_entropy", floats("logits", logits, count), sizes("labels", labels), labels.size, classes, loss,
           gradient)
      [loss.unpack1("d"), gradient.unpack("f*")]
    end

    # The mean of the squares of y - targets, and its gradient.
    def mean_squared_error(y, targets)
      loss, gradient = "\0" * 8, room(y.size)
      call("elman_mean_squared_error", floats("y", y), floats("targets", targets, y.size), y.size, loss, gradient)
      [loss.unpack1("d"), gradient.unpack("f*")]
    end

    private

    # Refuses what Fiddle would convert in silence: fractions and negative numbers to sizes, strings to shorter ones.
    def check(declaration, value)
      if declaration.match?(/_t \w+\z/) && !(value.is_a?(Integer) && value >= 0)
        raise ArgumentError, "#{declaration[/\w+\z/]} is #{value.inspect}, expected an integer of at least 0"
      elsif declaration.match?(/char \*\w/) && value.to_s.include?("\0")
        raise ArgumentError, "#{value.inspect} contains a zero byte"
      end
    end

    def expect_length(name, values, length)
      return if values.size == length

      raise ArgumentError, "#{name} has #{values.size} elements, expected #{length}"
    end
  end

  # An object of the library's. The garbage collector frees it at some time, close at once; calls after close fail.
  class Handle
    # The address, or nil once it is closed.
    attr_reader :pointer

    def initialize(pointer)
      @pointer = pointer
      # Shared with the finalizer, which must not know the object.
      @owned = [pointer]
      ObjectSpace.define_finalizer(self, Handle.destroyer(@owned, self.class::DESTROY))
    end

    def self.destroyer(owned, destroy)
      proc { owned.each { |pointer| Elman.call(destroy, pointer) }.clear }
    end

    def close
      Handle.destroyer(@owned, self.class::DESTROY).call
      @pointer = nil
    end

    # The functions of the header that take such an object first, without the start of their names. What would be Ruby's
    # constructor is initialize_parameters.
    def self.wrap(kind, start)
      include(Module.new do
        C::FUNCTIONS.each do |name, function|
          method = name.delete_prefix(start)
          method = "initialize_parameters" if method == "initialize"
          next if function.declarations.first.to_s[/elman_\w+/] != kind || !name.start_with?(start) || method == "destroy"

          define_method(method) { |*arguments| Elman.call(name, self, *arguments) }
        end
      end)
    end
  end

  # A recurrent network.
  class Network < Handle
    DESTROY = "elman_destroy"
    wrap "elman_network", "elman_"

    # A network for sequences of input_size features a step, without layers.
    def initialize(input_size, pointer = Elman.create("elman_create", input_size))
      super(pointer)
    end

    def self.load(path)
      new(nil, Elman.create("elman_load", path))
    end

    # A network of another system: PyTorch, ONNX and others.
    def self.import(path)
      new(nil, Elman.create("elman_import", path, nil))
    end

    def parameters
      values = Elman.room(parameter_count)
      Elman.call("elman_get_parameters", self, values, parameter_count)
      values.unpack("f*")
    end

    def parameters=(values)
      Elman.call("elman_set_parameters", self, Elman.floats("parameters", values), values.size)
    end

    # Runs a batch x [batch][steps][input_size]: the outputs of the last steps or, with OUTPUT_ALL, of all of them.
    def predict(x, batch, steps, lengths = nil)
      pass("elman_predict", x, batch, steps, lengths)
    end

    # As predict, but for training: keeps what backward needs.
    def forward(x, batch, steps, lengths = nil)
      y = pass("elman_forward", x, batch, steps, lengths)
      @outputs = y.size
      y
    end

    def backward(dy)
      Elman.call("elman_backward", self, Elman.floats("dy", dy, @outputs || 0))
    end

    # Trains on a data set; fields are those of elman_fit_options.
    def fit(dataset, optimizer, **fields)
      Elman.call("elman_fit", self, dataset, optimizer, Elman.options("elman_fit_options", **fields))
    end

    # The loss and the accuracy on a data set.
    def evaluate(dataset, **fields)
      loss, accuracy = "\0" * 8, "\0" * 8
      Elman.call("elman_evaluate", self, dataset, Elman.options("elman_fit_options", **fields), loss, accuracy)
      [loss.unpack1("d"), accuracy.unpack1("d")]
    end

    private

    def pass(name, x, batch, steps, lengths)
      x = Elman.floats("x", x, batch * steps * input_size)
      rows = output == OUTPUT_ALL ? batch * steps : batch
      y = Elman.room(rows * output_size)
      Elman.call(name, self, x, batch, steps, lengths && Elman.sizes("lengths", lengths, batch), nil, y, nil)
      y.unpack("f*")
    end
  end

  # One sequence in steps or blocks of steps, with the bits of the whole sequence.
  class Session < Handle
    DESTROY = "elman_session_destroy"
    wrap "elman_session", "elman_session_"

    # A stream through the parameters that the network has now.
    def initialize(network)
      super(Elman.create("elman_session_create", network))
    end

    def step(x)
      y = Elman.room(get_output_size)
      Elman.call("elman_session_step", self, Elman.floats("x", x, get_input_size), y)
      y.unpack("f*")
    end

    # Runs some steps, x [steps][input_size].
    def run(x)
      steps = x.size / get_input_size
      y = Elman.room(steps * get_output_size)
      Elman.call("elman_session_run", self, Elman.floats("x", x, steps * get_input_size), steps, y)
      y.unpack("f*")
    end
  end

  # An update rule and what it remembers.
  class Optimizer < Handle
    DESTROY = "elman_optimizer_destroy"
    wrap "elman_optimizer", "elman_optimizer_"

    def self.sgd(learning_rate, momentum: 0.0, nesterov: false, weight_decay: 0.0)
      new(Elman.create("elman_sgd_create", learning_rate, momentum, nesterov ? 1 : 0, weight_decay))
    end

    def self.adam(learning_rate = 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0)
      new(Elman.create("elman_adam_create", learning_rate, beta1, beta2, epsilon, weight_decay))
    end
  end

  # Sequences and what a network should answer: x has their steps one after the other, lengths the number of each.
  class Dataset < Handle
    DESTROY = "elman_dataset_destroy"
    wrap "elman_dataset", "elman_dataset_"

    # A class for each sequence, or NO_LABEL.
    def self.classes(input_size, x, lengths, labels, classes)
      x = Elman.floats("x", x, input_size * lengths.sum)
      labels = Elman.sizes("labels", labels, lengths.size)
      new(Elman.create("elman_dataset_create_classes", input_size, x, Elman.sizes("lengths", lengths), lengths.size, labels,
                       classes, 0))
    end

    # A vector of numbers for each sequence, values [lengths.size][size].
    def self.values(input_size, x, lengths, values, size)
      x = Elman.floats("x", x, input_size * lengths.sum)
      values = Elman.floats("values", values, lengths.size * size)
      new(Elman.create("elman_dataset_create_values", input_size, x, Elman.sizes("lengths", lengths), lengths.size, values,
                       size, 0))
    end
  end
end
