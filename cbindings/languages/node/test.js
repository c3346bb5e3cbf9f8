import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import * as elman from 'elman';
import { Dataset, ElmanError, Network, Optimizer, Session, constants } from 'elman';

function small() {
  const network = new Network(2);
  network.setSeed(7);
  network.addLstm(3);
  network.addDense(2);
  return network;
}

function data(length = 20) {
  const x = Float32Array.from({ length: 2 * 50 * length }, (_, i) => (i % 7) / 7);
  return Dataset.classes(2, x, Array(50).fill(length), Array.from({ length: 50 }, (_, i) => i % 2), 2);
}

test('errors bring the message of their own call, on any thread', async () => {
  const names = Array.from({ length: 200 }, (_, i) => `missing-${i}`);
  const loads = names.map((name) => Network.load(name));
  // Failures on this thread do not get in between.
  assert.throws(() => small().addGru(0), { name: 'ElmanError', code: 'ELMAN_ERROR_ZERO_SIZE', message: /units/ });
  const results = await Promise.allSettled(loads);
  results.forEach(({ reason }, i) => {
    assert.ok(reason instanceof ElmanError);
    assert.equal(reason.status, constants.ELMAN_ERROR_IO);
    assert.match(reason.message, new RegExp(`${names[i]}:`));
  });
});

test('the library names what is wrong', () => {
  const network = small();
  assert.throws(() => network.addRnn(3, 99), { code: 'ELMAN_ERROR_UNKNOWN_CONSTANT', message: /99/ });
  assert.throws(() => network.addDropout(1.5), { code: 'ELMAN_ERROR_OUT_OF_RANGE', message: /1\.5/ });
  assert.throws(() => (network.parameters = new Float32Array(5)), { code: 'ELMAN_ERROR_LENGTH', message: /5/ });
  assert.throws(() => Optimizer.sgd(-1), { code: 'ELMAN_ERROR_OUT_OF_RANGE', message: /-1/ });
});

test('types and lengths are checked before the call', async () => {
  const network = small();
  const shape = { batch: 2, steps: 3 };
  const wrong = { name: 'RangeError', message: /x has 11 elements, expected 12/ };
  await assert.rejects(network.predict(new Float32Array(11), shape), wrong);
  await assert.rejects(network.predict(new Float64Array(12), shape), { name: 'TypeError', message: /Float32Array/ });
  await assert.rejects(network.predict(Array(12).fill(0), shape), TypeError);
  assert.throws(() => network.forward(new Float32Array(12), { ...shape, lengths: [3] }), /lengths has 1 elements/);
  const long = { ...shape, lengths: [3, 4] };
  assert.throws(() => network.forward(new Float32Array(12), long), { code: 'ELMAN_ERROR_OUT_OF_RANGE' });
  network.forward(new Float32Array(12), shape);
  assert.throws(() => network.backward(new Float32Array(3)), /dy has 3 elements, expected 4/);
  assert.throws(() => network.addGru(1.5), /units is 1.5, expected an integer/);
  assert.throws(() => network.addGru(-1), /units is -1, expected an integer/);
  assert.throws(() => network.addGru('3'), TypeError);
  assert.throws(() => network.addGru(3, { directions: 1 }), /no field directions/);
  await assert.rejects(network.fit(data(), Optimizer.sgd(1), { epochs: -1 }), /epochs is -1/);
  await assert.rejects(network.fit(data(), Optimizer.sgd(1), { epochs: 1.5 }), RangeError);
  await assert.rejects(Network.load('a\0b'), /zero byte/);
  const session = new Session(network);
  assert.throws(() => session.step(new Float32Array(2), new Float32Array(1)), /y has 1 elements/);
  assert.throws(() => session.run(new Float32Array(5)), /x has 5 elements/);
  assert.throws(() => elman.softmaxCrossEntropy(new Float32Array(3), [0, 1], 2), /expected 4/);
  assert.throws(() => Dataset.classes(1, new Float32Array(3), [2, 2], [0, 1], 2), /x has 3 elements, expected 4/);
});

test('nothing touches a network that another thread works on', async () => {
  const network = small();
  const [dataset, optimizer] = [data(), Optimizer.sgd(0.01)];
  const training = network.fit(dataset, optimizer, { epochs: 20 });
  assert.throws(() => network.setSeed(1), /at work/);
  assert.throws(() => network.close(), /at work/);
  assert.throws(() => optimizer.close(), /at work/);
  assert.throws(() => dataset.close(), /at work/);
  await assert.rejects(network.predict(new Float32Array(2), { batch: 1, steps: 1 }), /at work/);
  await training;
  // Any number of calls that leave it as it is run side by side.
  const one = network.predictSync(new Float32Array(2).fill(1), { batch: 1, steps: 1 });
  const many = Array.from({ length: 20 }, () => network.predict(new Float32Array(2).fill(1), { batch: 1, steps: 1 }));
  assert.throws(() => network.setSeed(1), /at work/);
  for (const y of await Promise.all(many)) assert.deepEqual(y, one);
  network.setSeed(1);
});

test('an AbortSignal ends the training', async () => {
  const network = small();
  const aborted = network.fit(data(), Optimizer.sgd(0.01), { epochs: 2 ** 40, signal: AbortSignal.timeout(50) });
  await assert.rejects(aborted, { name: 'TimeoutError' });
  await assert.rejects(network.fit(data(), Optimizer.sgd(0.01), { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await assert.rejects(network.fit(data(), Optimizer.sgd(0.01), { average: 2 }), /average is 2/);
  await network.fit(data(), Optimizer.sgd(0.01), { epochs: 1, clip: constants.ELMAN_CLIP_NORM, average: 1 });
  const { loss, accuracy } = await network.evaluate(data());
  assert.ok(loss > 0 && accuracy >= 0.3);
});

test('calls after close() throw', () => {
  const network = small();
  const session = new Session(network);
  network.close();
  network.close();
  assert.throws(() => network.setSeed(1), /this Network is closed/);
  session.step(new Float32Array(2));
  session.close();
  assert.throws(() => session.step(new Float32Array(2)), /this Session is closed/);
});

test('options of layers, and shorter sequences of a batch', () => {
  const network = new Network(2);
  network.addLstm(3, { direction: constants.ELMAN_BIDIRECTIONAL, projection: 2 });
  assert.equal(network.outputSize, 4);
  assert.throws(() => new Session(network), { code: 'ELMAN_ERROR_MISMATCH' });
  network.setOutput(constants.ELMAN_OUTPUT_ALL);
  const x = Float32Array.of(1, 2, 3, 4, 1, 2, 9, 9);
  const y = network.predictSync(x, { batch: 2, steps: 2, lengths: [2, 1] });
  assert.deepEqual(y.subarray(12), new Float32Array(4));
  assert.notDeepEqual(y.subarray(8, 12), new Float32Array(4));
});

test('a loop of one\'s own learns', () => {
  const network = new Network(1);
  network.addRnn(8);
  network.addDense(1);
  network.initialize(constants.ELMAN_INIT_GLOROT_UNIFORM, 1, 3);
  const adam = Optimizer.adam(0.02);
  const losses = Array.from({ length: 100 }, () => {
    const y = network.forward(Float32Array.of(0.1, 0.5, 0.9, 0.8, 0.4, 0.2), { batch: 2, steps: 3 });
    const { loss, gradient } = elman.meanSquaredError(y, Float32Array.of(1, -1));
    network.backward(gradient);
    network.update(adam);
    return loss;
  });
  assert.ok(losses[99] < losses[0] / 100);
});

test('files keep every parameter, and every function can be reached', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'elman-'));
  try {
    const [network, path] = [small(), join(directory, 'network.safetensors')];
    await network.save(path);
    for (const read of [Network.load, Network.import]) {
      assert.deepEqual((await read(path)).parameters, network.parameters);
    }
    const copy = new BigUint64Array(1);
    elman.call('elman_clone', network.read, copy);
    assert.equal(Number(elman.getters.elman_layer_count(copy[0])), 2);
    elman.call('elman_destroy', copy[0]);
    await assert.rejects(elman.callAsync('elman_nothing'), /no function elman_nothing/);
    assert.throws(() => elman.call('elman_destroy'), /takes 1 arguments/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
