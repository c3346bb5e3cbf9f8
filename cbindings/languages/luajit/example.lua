-- A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.
local ffi = require("ffi")
local elman = require("elman")

local COUNT, STEPS, CLASSES = 100, 24, 2

-- A linear congruential generator, the same one in every language.
local state = 1
local function random()
  state = (state * 1664525 + 1013904223) % 2 ^ 32
  return state
end

-- Square waves of period 4 (class 0) and 6 (class 1) in noise.
local function waves()
  local x, labels = {}, {}
  for i = 0, COUNT - 1 do
    local period = 4 + 2 * (i % CLASSES)
    local phase = math.floor(random() / 2 ^ 16) % period
    for step = 0, STEPS - 1 do
      local wave = (step + phase) % period < period / 2 and 0.5 or -0.5
      x[#x + 1] = wave + math.floor(random() / 2 ^ 8) / 2 ^ 24 - 0.5
    end
    labels[#labels + 1] = i % CLASSES
  end
  return x, labels
end

-- A number that changes with any bit of the values.
local function digest(values, from, to)
  local bits, sum = ffi.cast("uint32_t *", values), 0
  for i = from, to - 1 do sum = (sum * 31 + bits[i]) % 2 ^ 32 end
  return sum
end

local function same(a, b) return a == b and "the same bits" or "OTHER BITS" end

local function hex(loss)
  local bits = ffi.cast("uint32_t *", ffi.new("double[1]", loss))
  return ("%08x%08x"):format(bits[1], bits[0])
end

local x, labels = waves()
local test_x, test_labels = waves()

local network = elman.network(1)
network:set_seed(42)
network:add_gru(12)
network:add_dense(CLASSES, elman.C.ELMAN_LINEAR)
print(("elman %s, %d parameters"):format(elman.version(), network:parameter_count()))

-- A step of training by hand.
local adam = elman.adam(0.01)
local before, dy = elman.softmax_cross_entropy(network:forward(x, COUNT, STEPS), labels, CLASSES)
network:backward(dy)
network:update(adam)
print(("before training: loss %.3f"):format(before))

-- The others in one call.
local lengths = {}
for i = 1, COUNT do lengths[i] = STEPS end
network:fit(elman.classes(1, x, lengths, labels, CLASSES), adam, { epochs = 40, batch_size = 10 })

local y = network:predict(test_x, COUNT, STEPS)
local after = elman.softmax_cross_entropy(y, test_labels, CLASSES)
local right = 0
for i, label in ipairs(test_labels) do
  if (y[2 * i - 1] > y[2 * i - 2]) == (label == 1) then right = right + 1 end
end
print(("after training: loss %.3f, %d of %d right"):format(after, right, COUNT))

-- The first sequence as a stream.
local session = elman.session(network)
local first, last = digest(y, 0, CLASSES), nil
for step = 1, STEPS do last = session:step({ test_x[step] }) end
print("step by step: " .. same(digest(last, 0, CLASSES), first))
session:reset()
local all = session:run({ unpack(test_x, 1, STEPS) })
print("as a block: " .. same(digest(all, (STEPS - 1) * CLASSES, STEPS * CLASSES), first))

local path = "waves.safetensors"
network:save(path)
local again = elman.load(path):predict(test_x, COUNT, STEPS)
local outputs = digest(y, 0, COUNT * CLASSES)
print("saved and loaded: " .. same(digest(again, 0, COUNT * CLASSES), outputs))
os.remove(path)

local _, problem = pcall(elman.load, "missing.safetensors")
print("error: " .. tostring(problem))
local parameters = digest(network:parameters(), 0, network:parameter_count())
print(("bits: %s %s %08x %08x"):format(hex(before), hex(after), parameters, outputs))
