// index.d.ts says what index.js takes: compiled, not run.
import {
  Dataset, ElmanError, Network, Optimizer, Session, call, callAsync, constants, getters, meanSquaredError, options,
  softmaxCrossEntropy, version,
} from 'elman';

export async function everything(): Promise<number> {
  const network = new Network(1);
  network.addGru(3, { direction: constants.ELMAN_BIDIRECTIONAL, gates: [1, 1] });
  const y: Float32Array = await network.predict(new Float32Array(3), { batch: 1, steps: 3, lengths: [2] });
  const { loss, gradient } = softmaxCrossEntropy(y, [0], 2);
  network.backward(gradient);
  network.update(Optimizer.sgd(0.1, { momentum: 0.9 }));
  const dataset = Dataset.classes(1, new Float32Array(1), [1], [0], 1);
  await network
    .fit(dataset, Optimizer.adam(), { epochs: 1, signal: AbortSignal.timeout(1) })
    .catch((error: ElmanError) => error.status + (error.code?.length ?? 0));
  call('elman_clone', network.read, new BigUint64Array(1));
  await callAsync('elman_save', network.read, 'file');
  options('elman_fit_options', { epochs: 3 });
  const out: Float32Array = new Session(network).step(new Float32Array(1));
  // @ts-expect-error
  await network.predict([1, 2], { batch: 1, steps: 2 });
  // @ts-expect-error
  new Optimizer(1n);
  return loss + meanSquaredError(out, out).loss + version().length + Number(getters.elman_layer_count(network.read));
}
