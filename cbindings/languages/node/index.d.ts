/** Recurrent networks on the CPU, through the C library elman. What each call does is in elman.h, by a similar name. */

/** The constants of the header by name; ELMAN_NO_LABEL is -1. */
export const constants: Readonly<Record<string, number>>;

/** What a call of the library says that has failed. */
export class ElmanError extends Error {
  /** The number of an ELMAN_ERROR_ constant. */
  readonly status: number;
  /** Its name. */
  readonly code: string | undefined;
}

/** What an argument of call() may be: an address is a bigint. */
export type Argument = number | bigint | string | ArrayBufferView | null;

/** Calls any function of the header that returns a status, or a _destroy function, with all of its arguments. */
export function call(name: string, ...values: Argument[]): void;
/** As call(), on another thread. The arrays must stay as they are until the promise settles. */
export function callAsync(name: string, ...values: Argument[]): Promise<void>;
/** A struct of options of the header with its defaults, and these fields set. */
export function options(kind: string, values: Record<string, number | bigint | number[]>): Uint8Array;
/** The functions of the header that can't fail. */
export const getters: Readonly<Record<string, (...values: (number | bigint)[]) => number | bigint | string>>;

/** An object of the library's. The garbage collector frees it at some time, close() at once. */
declare class Handle {
  readonly closed: boolean;
  /** Its address, for calls that leave it as it is. Throws while an asynchronous call changes it. */
  readonly read: bigint;
  /** Its address, for calls that change it. Throws while an asynchronous call uses it. */
  readonly write: bigint;
  /** Frees it. Calls after that throw; a second close() does nothing. */
  close(): void;
}

/** x is [batch][steps][features], row-major. */
export interface Shape {
  batch: number;
  steps: number;
  /** The steps of each sequence that count; all of them where it is missing. */
  lengths?: ArrayLike<number> & Iterable<number>;
}

/** Fields of elman_recurrent_options, by their names. */
export type RecurrentOptions = Record<string, number | number[]>;

/** Fields of elman_fit_options, by their names. */
export interface FitOptions {
  loss?: number;
  epochs?: number;
  batch_size?: number;
  shuffle?: number;
  seed?: number | bigint;
  truncate?: number;
  clip?: number;
  clip_limit?: number;
  patience?: number;
  min_delta?: number;
  watch?: number;
  average?: number;
}

export class Network extends Handle {
  constructor(inputSize: number);
  static load(path: string): Promise<Network>;
  /** A network of another system: PyTorch, ONNX and others. */
  static import(path: string): Promise<Network>;
  save(path: string): Promise<void>;
  setSeed(seed: number | bigint): void;
  setThreads(threads: number): void;
  /** constants.ELMAN_OUTPUT_LAST or ELMAN_OUTPUT_ALL. */
  setOutput(mode: number): void;
  initialize(scheme: number, scale?: number, seed?: number | bigint): void;
  addRnn(units: number, activation?: number, options?: RecurrentOptions): void;
  addGru(units: number, options?: RecurrentOptions): void;
  addLstm(units: number, options?: RecurrentOptions): void;
  addDense(units: number, activation?: number): void;
  addDropout(rate: number): void;
  readonly inputSize: number;
  readonly outputSize: number;
  /** A copy of all parameters; assigning replaces them. */
  parameters: Float32Array;
  /**
   * Outputs of the last step of each sequence or, with ELMAN_OUTPUT_ALL, of all steps. Runs on another thread: x must stay as
   * it is until the promise settles.
   */
  predict(x: Float32Array, shape: Shape): Promise<Float32Array>;
  predictSync(x: Float32Array, shape: Shape): Float32Array;
  /** As predictSync(), for training: keeps what backward() needs. */
  forward(x: Float32Array, shape: Shape): Float32Array;
  backward(dy: Float32Array): void;
  update(optimizer: Optimizer): void;
  /** Trains on another thread. An AbortSignal ends it; the network then has the parameters of the last update. */
  fit(dataset: Dataset, optimizer: Optimizer, options?: FitOptions & { signal?: AbortSignal }): Promise<void>;
  evaluate(dataset: Dataset, options?: FitOptions): Promise<{ loss: number; accuracy: number }>;
}

/** One sequence in steps or blocks of steps, with the bits of the whole sequence. */
export class Session extends Handle {
  constructor(network: Network);
  /** The outputs of one step; with `y`, nothing is allocated for them. */
  step(x: Float32Array, y?: Float32Array): Float32Array;
  run(x: Float32Array): Float32Array;
  reset(): void;
}

export class Optimizer extends Handle {
  private constructor();
  static sgd(learningRate: number, options?: { momentum?: number; nesterov?: boolean; weightDecay?: number }): Optimizer;
  static adam(
    learningRate?: number,
    options?: { beta1?: number; beta2?: number; epsilon?: number; weightDecay?: number },
  ): Optimizer;
}

/** x has the steps of all sequences one after the other, lengths the number of steps of each. A label of -1 is none. */
export class Dataset extends Handle {
  private constructor();
  static classes(inputSize: number, x: Float32Array, lengths: number[], labels: number[], classes: number): Dataset;
  static values(inputSize: number, x: Float32Array, lengths: number[], values: Float32Array, size: number): Dataset;
}

export function softmaxCrossEntropy(
  logits: Float32Array,
  labels: number[],
  classes: number,
): { loss: number; gradient: Float32Array };
export function meanSquaredError(y: Float32Array, targets: Float32Array): { loss: number; gradient: Float32Array };
export function version(): string;
