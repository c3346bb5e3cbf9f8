-- The tests of elman.lua: any that fails raises an error.
local ffi = require("ffi")
local elman = require("elman")
local C = elman.C

local function fails(status, part, call, ...)
  local ok, problem = pcall(call, ...)
  assert(not ok, "no error with " .. part)
  assert(problem.status == status and problem.message:find(part, 1, true), tostring(problem))
end

local function small()
  local network = elman.network(2)
  network:set_seed(7)
  network:add_lstm(3)
  network:add_dense(2, C.ELMAN_LINEAR)
  return network
end

local function zeros(count)
  local values = {}
  for i = 1, count do values[i] = 0 end
  return values
end

-- The library names what is wrong.
local network = small()
fails(C.ELMAN_ERROR_ZERO_SIZE, "units", network.add_gru, network, 0)
fails(C.ELMAN_ERROR_UNKNOWN_CONSTANT, "99", network.add_rnn, network, 3, 99)
fails(C.ELMAN_ERROR_OUT_OF_RANGE, "1.5", network.add_dropout, network, 1.5)
fails(C.ELMAN_ERROR_LENGTH, "5", network.set_parameters, network, zeros(5))
fails(C.ELMAN_ERROR_OUT_OF_RANGE, "-1", elman.sgd, -1)
fails(C.ELMAN_ERROR_IO, "zero byte", elman.load, "a\0b")
for i = 1, 100 do fails(C.ELMAN_ERROR_IO, "missing-" .. i .. ":", elman.load, "missing-" .. i) end

-- Lengths and types are checked before the call.
local session = elman.session(network)
fails(C.ELMAN_ERROR_LENGTH, "x has 11", network.predict, network, zeros(11), 2, 3)
fails(C.ELMAN_ERROR_LENGTH, "x has 11", network.predict, network, ffi.new("float[11]"), 2, 3)
fails(C.ELMAN_ERROR_NULL, "expected a table", network.predict, network, ffi.new("double[12]"), 2, 3)
fails(C.ELMAN_ERROR_NULL, "x is nil", network.predict, network, nil, 2, 3)
fails(C.ELMAN_ERROR_LENGTH, "lengths", network.forward, network, zeros(12), 2, 3, { 3 })
fails(C.ELMAN_ERROR_OUT_OF_RANGE, "length", network.forward, network, zeros(12), 2, 3, { 3, -1 })
network:forward(zeros(12), 2, 3)
fails(C.ELMAN_ERROR_LENGTH, "expected 4", network.backward, network, zeros(3))
fails(C.ELMAN_ERROR_LENGTH, "y has 1", session.step, session, zeros(2), ffi.new("float[1]"))
fails(C.ELMAN_ERROR_LENGTH, "x has 5", session.run, session, zeros(5))
fails(C.ELMAN_ERROR_LENGTH, "logits", elman.softmax_cross_entropy, zeros(3), { 0, 1 }, 2)
fails(C.ELMAN_ERROR_LENGTH, "expected 4", elman.classes, 1, zeros(3), { 2, 2 }, { 0, 1 }, 2)
fails(C.ELMAN_ERROR_OUT_OF_RANGE, "units is 1.5", network.add_gru, network, 1.5)
fails(C.ELMAN_ERROR_OUT_OF_RANGE, "units is -1", network.add_gru, network, -1)
fails(C.ELMAN_ERROR_OUT_OF_RANGE, "epochs is -1", elman.options, "elman_fit_options", { epochs = -1 })
assert(not pcall(elman.options, "elman_fit_options", { epoch = 1 }))

-- Calls after close() fail; sessions live on.
network:close()
network:close()
fails(C.ELMAN_ERROR_NULL, "network", network.set_seed, network, 1)
session:step({ 1, 2 })
session:close()
fails(C.ELMAN_ERROR_NULL, "session", session.reset, session)
for _ = 1, 200 do elman.session(small()) end
collectgarbage()

-- Shorter sequences of a batch.
network = small()
network:set_output(C.ELMAN_OUTPUT_ALL)
local y = network:predict({ 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 9, 9 }, 2, 3, { 3, 2 })
for i = 0, 3 do assert(y[i] == y[6 + i] and y[i] ~= 0) end
assert(y[10] == 0 and y[11] == 0)

-- Every function can be reached, with options and structs.
network = elman.network(2)
network:add_lstm(3, elman.options("elman_recurrent_options", { direction = C.ELMAN_BIDIRECTIONAL, projection = 2 }))
assert(network:output_size() == 4 and network:layer_count() == 1)
fails(C.ELMAN_ERROR_MISMATCH, "looks ahead", elman.session, network)
local info = ffi.new("elman_layer_info")
network:get_layer_info(0, info, ffi.sizeof(info))
assert(info.kind == C.ELMAN_LAYER_LSTM)

-- A loop of one's own learns, and fit() does, too.
network = elman.network(1)
network:add_rnn(8, C.ELMAN_TANH)
network:add_dense(1, C.ELMAN_LINEAR)
network:initialize(C.ELMAN_INIT_GLOROT_UNIFORM, 1, 3)
local x, adam = { 0.1, 0.5, 0.9, 0.8, 0.4, 0.2 }, elman.adam(0.02)
local first, loss, dy
for i = 1, 100 do
  loss, dy = elman.mean_squared_error(network:forward(x, 2, 3), { 1, -1 })
  network:backward(dy)
  network:update(adam)
  first = first or loss
end
assert(loss < first / 100)
local data = elman.values(1, x, { 3, 3 }, { -1, 1 }, 1)
network:fit(data, adam, { loss = C.ELMAN_LOSS_MEAN_SQUARED_ERROR, epochs = 200 })
assert(network:evaluate(data, { loss = C.ELMAN_LOSS_MEAN_SQUARED_ERROR }) < 0.01)

-- Files keep every parameter.
local path = os.tmpname()
network:save(path)
for _, read in ipairs({ elman.load, elman.import }) do
  local a, b = network:parameters(), read(path):parameters()
  assert(ffi.string(a, ffi.sizeof(a)) == ffi.string(b, ffi.sizeof(b)))
end
os.remove(path)
