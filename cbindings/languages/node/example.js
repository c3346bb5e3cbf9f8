// A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.
import { rmSync } from 'node:fs';
import { Dataset, Network, Optimizer, Session, constants, softmaxCrossEntropy, version } from 'elman';

const [COUNT, STEPS, CLASSES] = [100, 24, 2];

// A linear congruential generator, the same one in every language.
let state = 1;
function random() {
  state = (state * 1664525 + 1013904223) % 2 ** 32;
  return state;
}

/** Square waves of period 4 (class 0) and 6 (class 1) in noise. */
function waves() {
  const [x, labels] = [new Float32Array(COUNT * STEPS), []];
  for (let i = 0; i < COUNT; i++) {
    const period = 4 + 2 * (i % CLASSES);
    const phase = (random() >>> 16) % period;
    for (let step = 0; step < STEPS; step++) {
      const wave = (step + phase) % period < period / 2 ? 0.5 : -0.5;
      x[i * STEPS + step] = wave + (random() >>> 8) / 2 ** 24 - 0.5;
    }
    labels.push(i % CLASSES);
  }
  return { x, labels };
}

/** A number that changes with any bit of the values. */
function digest(values) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return bits.reduce((sum, value) => (sum * 31 + value) % 2 ** 32, 0);
}

const same = (a, b) => (a.length === b.length && digest(a) === digest(b) ? 'the same bits' : 'OTHER BITS');
const hex32 = (value) => value.toString(16).padStart(8, '0');
const hex64 = (value) => new BigUint64Array(new Float64Array([value]).buffer)[0].toString(16).padStart(16, '0');

const shape = { batch: COUNT, steps: STEPS };
const train = waves();
const test = waves();

const network = new Network(1);
network.setSeed(42);
network.addGru(12);
network.addDense(CLASSES, constants.ELMAN_LINEAR);
console.log(`elman ${version()}, ${network.parameters.length} parameters`);

// A step of training by hand.
const adam = Optimizer.adam(0.01);
const before = softmaxCrossEntropy(network.forward(train.x, shape), train.labels, CLASSES);
network.backward(before.gradient);
network.update(adam);
console.log(`before training: loss ${before.loss.toFixed(3)}`);

// The others in one call.
const dataset = Dataset.classes(1, train.x, Array(COUNT).fill(STEPS), train.labels, CLASSES);
await network.fit(dataset, adam, { epochs: 40, batch_size: 10 });

const y = await network.predict(test.x, shape);
const after = softmaxCrossEntropy(y, test.labels, CLASSES);
const right = test.labels.filter((label, i) => y[2 * i + 1] > y[2 * i] === (label === 1)).length;
console.log(`after training: loss ${after.loss.toFixed(3)}, ${right} of ${COUNT} right`);

// The first sequence as a stream.
const session = new Session(network);
let last;
for (let step = 0; step < STEPS; step++) last = session.step(test.x.subarray(step, step + 1));
console.log(`step by step: ${same(last, y.subarray(0, CLASSES))}`);
session.reset();
const all = session.run(test.x.subarray(0, STEPS));
console.log(`as a block: ${same(all.subarray((STEPS - 1) * CLASSES), y.subarray(0, CLASSES))}`);

const path = 'waves.safetensors';
await network.save(path);
const loaded = await Network.load(path);
console.log(`saved and loaded: ${same(await loaded.predict(test.x, shape), y)}`);
rmSync(path);

await Network.load('missing.safetensors').catch((error) => console.log(`error: ${error.message}`));
console.log(`bits: ${hex64(before.loss)} ${hex64(after.loss)} ${hex32(digest(network.parameters))} ${hex32(digest(y))}`);
