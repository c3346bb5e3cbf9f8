// Recurrent networks on the CPU, through the C library elman: index.d.ts says what is here.
//
// The declarations come from the header that is installed with the library, below the directory that ELMAN_PREFIX names. Every
// call that can fail goes through elman_call(), which brings its message along, on whatever thread it runs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';

const prefix = process.env.ELMAN_PREFIX ?? '/usr/local';
const files = { darwin: 'lib/libelman.dylib', win32: 'bin/elman.dll' };
const library = koffi.load(join(prefix, files[process.platform] ?? 'lib/libelman.so'));
const header = readFileSync(join(prefix, 'include', 'elman.h'), 'utf8').replace(/\/\*[^]*?\*\//g, '');

/** A declaration "const float *x" as its type and its name; pointers are addresses. */
function declaration(text) {
  const [, type, pointer, name, count] = /^(?:const )?(\w+) (?:const )?([*\w ]*[* ])?(\w+)(?:\[(\d+)\])?$/.exec(text.trim());
  return { name, count, type: pointer?.includes('*') || type.endsWith('_callback') ? 'pointer' : type };
}

/** The constants of the header by name; ELMAN_NO_LABEL, which is SIZE_MAX, as -1. */
export const constants = {};
for (const [, name, value] of header.matchAll(/^#define (ELMAN_\w+) (\d+|SIZE_MAX)$/gm)) {
  constants[name] = value === 'SIZE_MAX' ? -1 : Number(value);
}

const structs = {};
for (const [, body, name] of header.matchAll(/^typedef struct \{([^}]*)\} (\w+);/gm)) {
  const fields = body.split(';').filter((field) => field.trim()).map(declaration);
  const native = (type) => (type === 'pointer' ? 'uintptr_t' : type);
  const members = fields.map(({ name, type, count }) => {
    return [name, count ? koffi.array(native(type), Number(count)) : native(type)];
  });
  structs[name] = { fields, layout: koffi.struct(Object.fromEntries(members)) };
}

// elman_call() takes each argument as 64 bits, a float in the low half of them.
const WORDS = {
  pointer: 'void *', double: 'double', float: 'float', uint32_t: 'uint64_t', uint64_t: 'uint64_t', size_t: 'uint64_t',
};
const functions = {};
/** The functions of the header that can't fail, by their names: elman_version(), elman_parameter_count() and so on. */
export const getters = {};
for (const [, result, name, list] of header.matchAll(/^((?:const )?\w+) \*?(elman_\w+)\(([^)]*)\);/gm)) {
  const parameters = list === 'void' ? [] : list.split(',').map(declaration);
  if (result === 'elman_status' || result === 'void') {
    const members = parameters.flatMap(({ name, type }) => [
      [name, WORDS[type]],
      ...(type === 'float' ? [[`${name}_high`, 'uint32_t']] : []),
    ]);
    const layout = koffi.pointer(koffi.struct(Object.fromEntries(members)));
    functions[name] = { parameters, layout, text: Buffer.from(`${name}\0`) };
  } else {
    const types = parameters.map(({ type }) => ({ pointer: 'uintptr_t', elman_status: 'int32_t' })[type] ?? type);
    getters[name] = library.func(name, result.endsWith('char') ? 'str' : result, types);
  }
}
const elmanCall = library.func('elman_call', 'int32_t', ['void *', 'void *', 'size_t', 'void *', 'size_t']);

export class ElmanError extends Error {
  constructor(status, message) {
    super(message);
    this.name = 'ElmanError';
    this.status = status;
    this.code = Object.keys(constants).find((name) => name.startsWith('ELMAN_ERROR_') && constants[name] === status);
  }
}

const string = (text) => {
  if (text.includes('\0')) throw new TypeError(`${JSON.stringify(text)} contains a zero byte`);
  return Buffer.from(`${text}\0`);
};

function suits(type, value) {
  if (type === 'pointer') return value === null || typeof value === 'bigint' || ArrayBuffer.isView(value);
  return typeof value === 'number' || (typeof value === 'bigint' && type.endsWith('_t'));
}

/** The arguments of elman_call(), the last but one of which is the room for its message. */
function request(name, values, message) {
  const { parameters, layout, text } = functions[name] ?? {};
  if (!parameters) throw new TypeError(`the library has no function ${name} that can fail`);
  if (values.length !== parameters.length) {
    throw new TypeError(`${name} takes ${parameters.length} arguments, not ${values.length}`);
  }
  const words = {};
  parameters.forEach(({ name, type }, i) => {
    const value = typeof values[i] === 'string' ? string(values[i]) : values[i];
    if (!suits(type, value)) throw new TypeError(`${name} is ${value}, expected a ${type}`);
    if (type.endsWith('_t') && !(value >= 0 && (typeof value === 'bigint' || Number.isSafeInteger(value)))) {
      throw new RangeError(`${name} is ${value}, expected an integer of at least 0`);
    }
    words[name] = value;
    if (type === 'float') words[`${name}_high`] = 0;
  });
  return [text, koffi.as(words, layout), parameters.length, message, message.length];
}

function failure(status, message) {
  return new ElmanError(status, message.toString('utf8', 0, message.indexOf(0)));
}

const ownMessage = Buffer.alloc(1024);

/** Calls a function of the header by its name, with all of its arguments: numbers, typed arrays, addresses, strings, null. */
export function call(name, ...values) {
  const status = elmanCall(...request(name, values, ownMessage));
  if (status !== constants.ELMAN_OK) throw failure(status, ownMessage);
}

// What calls on other threads use stays until they end.
const running = new Set();

/** As call(), on another thread: the promise is fulfilled or rejected when the call has ended. */
export function callAsync(name, ...values) {
  return new Promise((resolve, reject) => {
    const message = Buffer.alloc(1024);
    const made = request(name, values, message);
    running.add(made);
    elmanCall.async(...made, (error, status) => {
      running.delete(made);
      if (error) reject(error);
      else if (status !== constants.ELMAN_OK) reject(failure(status, message));
      else resolve();
    });
  });
}

/** A struct of options of the header with its defaults, and these fields set. */
export function options(kind, values) {
  const { fields, layout } = structs[kind];
  const bytes = new Uint8Array(koffi.sizeof(layout));
  call(`${kind}_init`, bytes, bytes.length);
  const view = new DataView(bytes.buffer);
  const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  for (const [name, value] of Object.entries(values)) {
    const field = fields.find((field) => field.name === name);
    if (!field) throw new TypeError(`${kind} has no field ${name}`);
    const values = Array.isArray(value) ? value : [value];
    values.forEach((value, i) => {
      const at = koffi.offsetof(layout, name) + i * (field.type === 'uint32_t' ? 4 : 8);
      if (value < 0 && field.type !== 'double') throw new RangeError(`${name} is ${value}, expected at least 0`);
      if (field.type === 'double') view.setFloat64(at, value, little);
      else if (field.type === 'uint32_t') view.setUint32(at, value, little);
      else view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), little);
    });
  }
  return bytes;
}

const collected = new FinalizationRegistry(({ destroy, pointer }) => call(destroy, pointer));

/** An object of the library's: its address, and the calls on other threads that use it. */
class Handle {
  #pointer;
  #destroy;
  #readers = 0;
  #writer = false;

  constructor(pointer, destroy) {
    this.#pointer = pointer;
    this.#destroy = destroy;
    collected.register(this, { destroy, pointer }, this);
  }

  get closed() {
    return this.#pointer === null;
  }

  /** The object for a call that leaves it as it is. */
  get read() {
    const kind = this.constructor.name;
    if (this.closed) throw new Error(`this ${kind} is closed`);
    if (this.#writer) throw new Error(`this ${kind} is at work: await the call before`);
    return this.#pointer;
  }

  /** The object for a call that changes it. */
  get write() {
    if (this.#readers > 0) throw new Error(`this ${this.constructor.name} is at work: await the call before`);
    return this.read;
  }

  /** Runs an asynchronous call that uses objects, and keeps others from changing them meanwhile. */
  static async using(readers, writers, run) {
    for (const handle of readers) handle.read;
    for (const handle of writers) handle.write;
    const ended = run();
    for (const handle of readers) handle.#readers += 1;
    for (const handle of writers) handle.#writer = true;
    try {
      return await ended;
    } finally {
      for (const handle of readers) handle.#readers -= 1;
      for (const handle of writers) handle.#writer = false;
    }
  }

  close() {
    if (this.closed) return;
    call(this.#destroy, this.write);
    collected.unregister(this);
    this.#pointer = null;
  }
}
if (Symbol.dispose) Handle.prototype[Symbol.dispose] = Handle.prototype.close;

function create(name, ...values) {
  const out = new BigUint64Array(1);
  call(name, ...values, out);
  return out[0];
}

function floats(name, values, length) {
  if (!(values instanceof Float32Array)) throw new TypeError(`${name} is no Float32Array`);
  if (length !== undefined && values.length !== length) {
    throw new RangeError(`${name} has ${values.length} elements, expected ${length}`);
  }
  return values;
}

function sizes(name, values, length) {
  if (length !== undefined && values.length !== length) {
    throw new RangeError(`${name} has ${values.length} elements, expected ${length}`);
  }
  return BigUint64Array.from(values, (value) => {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${name} contains ${value}, expected integers`);
    return BigInt.asUintN(64, BigInt(value));
  });
}

export class Network extends Handle {
  #outputs = 0;

  constructor(inputSize, pointer = create('elman_create', inputSize)) {
    super(pointer, 'elman_destroy');
  }

  static async #read(name, ...values) {
    const out = new BigUint64Array(1);
    await callAsync(name, ...values, out);
    return new Network(undefined, out[0]);
  }
  static load(path) {
    return Network.#read('elman_load', path);
  }
  static import(path) {
    return Network.#read('elman_import', path, null);
  }
  save(path) {
    return Handle.using([this], [], () => callAsync('elman_save', this.read, path));
  }

  setSeed(seed) {
    call('elman_set_seed', this.write, seed);
  }
  setThreads(threads) {
    call('elman_set_threads', this.write, threads);
  }
  setOutput(mode) {
    call('elman_set_output', this.write, mode);
  }
  initialize(scheme, scale = 1, seed = 0) {
    call('elman_initialize', this.write, scheme, scale, seed);
  }
  addRnn(units, activation = constants.ELMAN_TANH, fields = {}) {
    call('elman_add_recurrent', this.write, units, activation, options('elman_recurrent_options', fields));
  }
  addGru(units, fields = {}) {
    call('elman_add_gru', this.write, units, options('elman_recurrent_options', fields));
  }
  addLstm(units, fields = {}) {
    call('elman_add_lstm', this.write, units, options('elman_recurrent_options', fields));
  }
  addDense(units, activation = constants.ELMAN_LINEAR) {
    call('elman_add_dense', this.write, units, activation);
  }
  addDropout(rate) {
    call('elman_add_dropout', this.write, rate);
  }

  get inputSize() {
    return Number(getters.elman_input_size(this.read));
  }
  get outputSize() {
    return Number(getters.elman_output_size(this.read));
  }
  get parameters() {
    const values = new Float32Array(Number(getters.elman_parameter_count(this.read)));
    call('elman_get_parameters', this.read, values, values.length);
    return values;
  }
  set parameters(values) {
    call('elman_set_parameters', this.write, floats('parameters', values), values.length);
  }

  /** The arguments of a pass over a batch behind the network; the last but one are the outputs. */
  #batch(x, { batch, steps, lengths }) {
    floats('x', x, batch * steps * this.inputSize);
    const rows = getters.elman_output(this.read) === constants.ELMAN_OUTPUT_ALL ? batch * steps : batch;
    const y = new Float32Array(rows * this.outputSize);
    return [x, batch, steps, lengths ? sizes('lengths', lengths, batch) : null, null, y, null];
  }
  async predict(x, shape) {
    const values = this.#batch(x, shape);
    await Handle.using([this], [], () => callAsync('elman_predict', this.read, ...values));
    return values[5];
  }
  predictSync(x, shape) {
    const values = this.#batch(x, shape);
    call('elman_predict', this.read, ...values);
    return values[5];
  }
  forward(x, shape) {
    const values = this.#batch(x, shape);
    call('elman_forward', this.write, ...values);
    this.#outputs = values[5].length;
    return values[5];
  }
  backward(dy) {
    call('elman_backward', this.write, floats('dy', dy, this.#outputs), null, null, null);
  }
  update(optimizer) {
    call('elman_update', this.write, optimizer.write);
  }

  async fit(dataset, optimizer, { signal, ...fields } = {}) {
    signal?.throwIfAborted();
    const cancel = create('elman_cancellation_create');
    const abort = () => call('elman_cancellation_set', cancel, 1);
    signal?.addEventListener('abort', abort);
    try {
      const how = options('elman_fit_options', { ...fields, cancel });
      await Handle.using([dataset], [this, optimizer], () =>
        callAsync('elman_fit', this.write, dataset.read, optimizer.write, how),
      );
    } catch (error) {
      throw error.status === constants.ELMAN_ERROR_CANCELLED ? signal.reason : error;
    } finally {
      signal?.removeEventListener('abort', abort);
      call('elman_cancellation_destroy', cancel);
    }
  }
  async evaluate(dataset, fields = {}) {
    const [loss, accuracy] = [new Float64Array(1), new Float64Array(1)];
    const how = options('elman_fit_options', fields);
    await Handle.using([this, dataset], [], () =>
      callAsync('elman_evaluate', this.read, dataset.read, how, loss, accuracy, null),
    );
    return { loss: loss[0], accuracy: accuracy[0] };
  }
}

export class Session extends Handle {
  #inputSize;
  #outputSize;

  constructor(network) {
    super(create('elman_session_create', network.read), 'elman_session_destroy');
    this.#inputSize = network.inputSize;
    this.#outputSize = network.outputSize;
  }
  step(x, y = new Float32Array(this.#outputSize)) {
    call('elman_session_step', this.write, floats('x', x, this.#inputSize), floats('y', y, this.#outputSize));
    return y;
  }
  run(x) {
    const steps = Math.floor(floats('x', x).length / this.#inputSize);
    floats('x', x, steps * this.#inputSize);
    const y = new Float32Array(steps * this.#outputSize);
    call('elman_session_run', this.write, x, steps, y);
    return y;
  }
  reset() {
    call('elman_session_reset', this.write);
  }
}

export class Optimizer extends Handle {
  constructor(pointer) {
    super(pointer, 'elman_optimizer_destroy');
  }
  static sgd(learningRate, { momentum = 0, nesterov = false, weightDecay = 0 } = {}) {
    return new Optimizer(create('elman_sgd_create', learningRate, momentum, Number(nesterov), weightDecay));
  }
  static adam(learningRate = 0.001, { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = {}) {
    return new Optimizer(create('elman_adam_create', learningRate, beta1, beta2, epsilon, weightDecay));
  }
}

export class Dataset extends Handle {
  constructor(pointer) {
    super(pointer, 'elman_dataset_destroy');
  }
  static #check(inputSize, x, lengths) {
    floats('x', x, inputSize * lengths.reduce((sum, length) => sum + length, 0));
    return [inputSize, x, sizes('lengths', lengths), lengths.length];
  }
  static classes(inputSize, x, lengths, labels, classes) {
    const values = [...Dataset.#check(inputSize, x, lengths), sizes('labels', labels, lengths.length), classes, 0];
    return new Dataset(create('elman_dataset_create_classes', ...values));
  }
  static values(inputSize, x, lengths, values, size) {
    const all = [...Dataset.#check(inputSize, x, lengths), floats('values', values, lengths.length * size), size, 0];
    return new Dataset(create('elman_dataset_create_values', ...all));
  }
}

export function softmaxCrossEntropy(logits, labels, classes) {
  const [loss, gradient] = [new Float64Array(1), new Float32Array(floats('logits', logits, labels.length * classes).length)];
  call('elman_softmax_cross_entropy', logits, sizes('labels', labels), labels.length, classes, loss, gradient);
  return { loss: loss[0], gradient };
}

export function meanSquaredError(y, targets) {
  const [loss, gradient] = [new Float64Array(1), new Float32Array(floats('y', y).length)];
  call('elman_mean_squared_error', y, floats('targets', targets, y.length), y.length, loss, gradient);
  return { loss: loss[0], gradient };
}

export const version = () => getters.elman_version();
