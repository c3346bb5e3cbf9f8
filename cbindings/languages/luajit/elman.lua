--- Recurrent networks on the CPU, through the C library elman and LuaJIT's ffi.
--
-- The declarations are those of the header that is installed with the library, below the directory that ELMAN_PREFIX names:
-- every function of elman.h is in elman.C, and every constant, too. Objects have the functions that take them first as methods:
-- network:add_gru(12) is elman_add_gru(network, 12, NULL). Pointers at the end may be left out.
--
-- Buffers are tables of numbers or arrays of float. A call that fails raises a table with `status` and `message`.
local ffi = require("ffi")

local prefix = os.getenv("ELMAN_PREFIX") or "/usr/local"
local function header()
  local file = assert(io.open(prefix .. "/include/elman.h"))
  local text = file:read("*a"):gsub("/%*.-%*/", "")
  file:close()
  return text
end

local text = header()
-- The parameters of each function that returns a status, and the kind of object that a function takes first.
local parameters, first = {}, {}
for name, list in text:gmatch("elman_status (elman_[%w_]+)%((.-)%);") do
  parameters[name] = {}
  for parameter in list:gmatch("[^,]+") do table.insert(parameters[name], parameter) end
end
for name, kind in text:gmatch("(elman_[%w_]+)%((const elman_[%w_]+ %*)") do first[name] = kind:match("elman_[%w_]+") end
for name, kind in text:gmatch("(elman_[%w_]+)%((elman_[%w_]+ %*)") do first[name] = kind:match("elman_[%w_]+") end

local constants = {}
for name, value in text:gmatch("#define (ELMAN_[%w_]+) (%d+)\n") do
  constants[#constants + 1] = ("static const int %s = %s;"):format(name, value)
end
-- What is left for ffi are declarations: no lines of the preprocessor, and no extern "C" around them.
ffi.cdef((text:gsub("#[^\n]*", ""):gsub('extern "C" {', ""):gsub("\n}%s*$", "\n")))
ffi.cdef(table.concat(constants, "\n"))

local names = { OSX = "lib/libelman.dylib", Windows = "bin/elman.dll" }
local C = ffi.load(prefix .. "/" .. (names[ffi.os] or "lib/libelman.so"))
local elman = { C = C, NO_LABEL = -1 }

local Error = {}
Error.__tostring = function(self) return self.message end

local function raise(status, message, ...)
  error(setmetatable({ status = status, message = message:format(...) }, Error), 0)
end

local function unwrap(value)
  if type(value) == "table" and value.methods then return value.pointer end
  return value
end

-- What ffi would convert in silence: fractions and negative numbers to sizes, strings to shorter ones.
local function check(parameter, value)
  local integer = parameter:match("_t ([%w_]+)$")
  if integer and type(value) == "number" and (value < 0 or value ~= math.floor(value)) then
    raise(C.ELMAN_ERROR_OUT_OF_RANGE, "%s is %g, expected an integer of at least 0", integer, value)
  elseif type(value) == "string" and value:find("\0", 1, true) then
    raise(C.ELMAN_ERROR_IO, "%q contains a zero byte", value)
  end
end

--- Calls a function of the header by its name. Objects may stand for their pointers.
function elman.call(name, ...)
  local values, declared = { ... }, parameters[name] or {}
  local count = select("#", ...)
  for i = 1, count do
    values[i] = unwrap(values[i])
    check(declared[i] or "", values[i])
  end
  local result = C[name](unpack(values, 1, math.max(#declared, count)))
  if not parameters[name] then return type(result) == "cdata" and tonumber(result) or result end
  if result ~= C.ELMAN_OK then raise(result, "%s", ffi.string(C.elman_last_error())) end
end

--- An array of float, of a table or as it is, whose length must be `length` where there is one.
local function floats(name, values, length)
  local count
  if type(values) == "table" then
    count = #values
    values = ffi.new("float[?]", count, values)
  elseif type(values) == "cdata" and tostring(ffi.typeof(values)):match("float %[") then
    count = ffi.sizeof(values) / ffi.sizeof("float")
  else
    raise(C.ELMAN_ERROR_NULL, "%s is %s, expected a table or an array of float", name, tostring(values))
  end
  if length and count ~= length then
    raise(C.ELMAN_ERROR_LENGTH, "%s has %d elements, expected %d", name, count, length)
  end
  return values, count
end
elman.floats = floats

--- Numbers as size_t; -1 is ELMAN_NO_LABEL.
local function sizes(name, values, length)
  if length and #values ~= length then
    raise(C.ELMAN_ERROR_LENGTH, "%s has %d elements, expected %d", name, #values, length)
  end
  local array = ffi.new("size_t[?]", #values)
  for i, value in ipairs(values) do array[i - 1] = ffi.cast("int64_t", value) end
  return array
end

-- An object: its methods of its own, and the functions of the header that take it first.
local function kind(name, strip, destroy)
  local methods = {}
  local function find(_, key)
    local method = methods[key]
    if method then return method end
    local full = strip .. key
    if first[full] ~= name then full = "elman_" .. key end
    if first[full] ~= name then return nil end
    method = function(self, ...) return elman.call(full, self, ...) end
    methods[key] = method
    return method
  end
  local metatable = { __index = find }
  --- Frees the object; calls after it fail.
  function methods.close(self)
    if self.pointer ~= nil then destroy(ffi.gc(self.pointer, nil)) end
    self.pointer = nil
  end
  local function new(create, ...)
    local out = ffi.new(name .. " *[1]")
    local values = { ... }
    values[select("#", ...) + 1] = out
    elman.call(create, unpack(values, 1, select("#", ...) + 1))
    return setmetatable({ pointer = ffi.gc(out[0], destroy), methods = methods }, metatable)
  end
  return methods, new
end

local Network, network = kind("elman_network", "elman_", C.elman_destroy)
local Session, session = kind("elman_session", "elman_session_", C.elman_session_destroy)
local _, optimizer = kind("elman_optimizer", "elman_optimizer_", C.elman_optimizer_destroy)
local _, dataset = kind("elman_dataset", "elman_dataset_", C.elman_dataset_destroy)

--- A struct of options of the header with its defaults, and these fields set.
function elman.options(name, fields)
  local options = ffi.new(name)
  elman.call(name .. "_init", options, ffi.sizeof(options))
  for field, value in pairs(fields or {}) do
    options[field] = value
    if type(value) == "number" and tonumber(options[field]) ~= value then
      raise(C.ELMAN_ERROR_OUT_OF_RANGE, "%s is %g, which is none of its type", field, value)
    end
  end
  return options
end

function elman.version() return ffi.string(C.elman_version()) end

--- A network for sequences of `input_size` features a step, without layers.
function elman.network(input_size) return network("elman_create", input_size) end
function elman.load(path) return network("elman_load", path) end
--- A network of another system: PyTorch, ONNX and others.
function elman.import(path) return network("elman_import", path, nil) end

function elman.sgd(learning_rate, momentum) return optimizer("elman_sgd_create", learning_rate, momentum or 0, 0, 0) end
function elman.adam(learning_rate) return optimizer("elman_adam_create", learning_rate, 0.9, 0.999, 1e-8, 0) end

local function total(lengths)
  local sum = 0
  for _, length in ipairs(lengths) do sum = sum + length end
  return sum
end

--- Sequences of one class each: x has their steps one after the other, lengths the number of each; a label of -1 is none.
function elman.classes(input_size, x, lengths, labels, classes)
  return dataset("elman_dataset_create_classes", input_size, (floats("x", x, input_size * total(lengths))),
    sizes("lengths", lengths), #lengths, sizes("labels", labels, #lengths), classes, 0)
end

--- Sequences of a vector of numbers each, values [#lengths][size].
function elman.values(input_size, x, lengths, values, size)
  return dataset("elman_dataset_create_values", input_size, (floats("x", x, input_size * total(lengths))),
    sizes("lengths", lengths), #lengths, (floats("values", values, #lengths * size)), size, 0)
end

function Network:parameters()
  local values = ffi.new("float[?]", self:parameter_count())
  elman.call("elman_get_parameters", self, values, self:parameter_count())
  return values
end

function Network:set_parameters(values)
  local array, count = floats("parameters", values)
  elman.call("elman_set_parameters", self, array, count)
end

local function pass(name)
  return function(self, x, batch, steps, lengths)
    x = floats("x", x, batch * steps * self:input_size())
    local rows = self:output() == C.ELMAN_OUTPUT_ALL and batch * steps or batch
    local y = ffi.new("float[?]", rows * self:output_size())
    elman.call(name, self, x, batch, steps, lengths and sizes("lengths", lengths, batch) or nil, nil, y, nil)
    self.outputs = name == "elman_forward" and rows * self:output_size() or self.outputs
    return y
  end
end
--- Runs a batch x [batch][steps][input_size]: the outputs of the last steps or, with ELMAN_OUTPUT_ALL, of all of them.
Network.predict = pass("elman_predict")
Network.forward = pass("elman_forward")

function Network:backward(dy) elman.call("elman_backward", self, (floats("dy", dy, self.outputs or 0))) end

--- Trains on a data set; fields are those of elman_fit_options.
function Network:fit(data, rule, fields)
  elman.call("elman_fit", self, data, rule, elman.options("elman_fit_options", fields))
end

--- The loss and the accuracy on a data set.
function Network:evaluate(data, fields)
  local loss, accuracy = ffi.new("double[1]"), ffi.new("double[1]")
  elman.call("elman_evaluate", self, data, elman.options("elman_fit_options", fields), loss, accuracy)
  return loss[0], accuracy[0]
end

--- A stream through the parameters that the network has now.
function elman.session(of) return session("elman_session_create", of) end

--- Runs one step. With an array `y` nothing is allocated.
function Session:step(x, y)
  x = floats("x", x, self:get_input_size())
  y = floats("y", y or ffi.new("float[?]", self:get_output_size()), self:get_output_size())
  elman.call("elman_session_step", self, x, y)
  return y
end

--- Runs some steps, x [steps][input_size].
function Session:run(x)
  local array, count = floats("x", x)
  local steps = math.floor(count / self:get_input_size())
  floats("x", array, steps * self:get_input_size())
  local y = ffi.new("float[?]", steps * self:get_output_size())
  elman.call("elman_session_run", self, array, steps, y)
  return y
end

--- The loss of logits [#labels][classes], and its gradient. A label of -1 does not count.
function elman.softmax_cross_entropy(logits, labels, classes)
  local count = #labels * classes
  local loss, gradient = ffi.new("double[1]"), ffi.new("float[?]", count)
  elman.call("elman_softmax_cross_entropy", (floats("logits", logits, count)), sizes("labels", labels), #labels, classes, loss,
    gradient)
  return loss[0], gradient
end

--- The mean of the squares of y - targets, and its gradient.
function elman.mean_squared_error(y, targets)
  local array, count = floats("y", y)
  local loss, gradient = ffi.new("double[1]"), ffi.new("float[?]", count)
  elman.call("elman_mean_squared_error", array, (floats("targets", targets, count)), count, loss, gradient)
  return loss[0], gradient
end

return elman
