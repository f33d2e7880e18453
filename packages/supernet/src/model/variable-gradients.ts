// tf.variableGrads that frees as it goes: tfjs keeps the gradients of all intermediate tensors until the last one is known.
import * as tf from '@tensorflow/tfjs';
import { withWantedGradients } from './custom-gradient.ts';

/** A recorded operation. */
interface TapeNode {
  readonly kernelName: string;
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  readonly outputs: readonly tf.Tensor[];
  /** Copies by reference that the gradient reads. */
  readonly saved?: readonly tf.Tensor[];
  gradient?(dys: readonly (tf.Tensor | null)[]): Readonly<Record<string, () => tf.Tensor>>;
}

/** The part of tfjs' engine used here; the same in every 4.x. */
interface Engine {
  readonly state: { gradientDepth: number; activeTape: readonly TapeNode[] | null; readonly nextTensorId: number };
  startTape(): void;
  endTape(): void;
}

/** A loss, and its gradients by the names of the variables that it depends on. */
export interface VariableGradients {
  readonly value: tf.Scalar;
  readonly grads: Readonly<Record<string, tf.Tensor>>;
}

/**
 * Value and gradients of a scalar function of variables: the same numbers as tf.variableGrads, from the same operations in the
 * same order. What a node of the tape has saved, and the gradient of its output, go as soon as its inputs' gradients are
 * known: training takes the memory of the forward pass, not two to four times that. The caller disposes.
 */
export function variableGradients(f: () => tf.Scalar, variables: readonly tf.Variable[]): VariableGradients {
  const engine = tf.engine() as unknown as Engine;
  // A tape around this one still needs what would be freed.
  if (engine.state.gradientDepth > 0) {
    const { value, grads } = tf.variableGrads(f, [...variables]);
    return { value, grads };
  }
  try {
    const value = record(engine, f);
    if (!(value instanceof tf.Tensor) || value.rank !== 0) {
      const what = value instanceof tf.Tensor ? `a tensor [${(value as tf.Tensor).shape.join(', ')}]` : typeof value;
      throw new TypeError(`a loss is a scalar tensor, not ${what}`);
    }
    try {
      const trained = variables.filter(({ trainable }) => trainable);
      return { value, grads: tf.tidy(() => backpropagate(engine.state.activeTape ?? [], value, trained)) };
    } catch (error) {
      value.dispose();
      throw error;
    }
  } finally {
    // What is left where a pass failed.
    for (const { saved = [] } of engine.state.activeTape ?? []) tf.dispose(saved as tf.Tensor[]);
    engine.state.activeTape = null;
  }
}

function record(engine: Engine, f: () => tf.Scalar): tf.Scalar {
  engine.startTape();
  try {
    return tf.tidy(f);
  } finally {
    engine.endTape();
  }
}

/** Walks the tape backwards; gradients by the names of variables. */
function backpropagate(
  tape: readonly TapeNode[],
  value: tf.Scalar,
  variables: readonly tf.Variable[],
): Record<string, tf.Tensor> {
  const { path, dependent } = pathBetween(tape, value, variables);
  if (path.size === 0) throw new Error('the loss does not depend on any of the variables');
  /** By tensor id; each tensor is held once. */
  const gradients = new Map<number, tf.Tensor>([[value.id, tf.onesLike(value)]]);
  for (const node of tape.toReversed()) {
    if (path.has(node)) {
      const names = Object.keys(node.inputs).filter((name) => dependent.has((node.inputs[name] as tf.Tensor).id));
      const slopes = withWantedGradients(dependent, () => slopesOf(node, names, gradients));
      for (const [index, slope] of slopes.entries()) {
        const { id } = node.inputs[names[index] as string] as tf.Tensor;
        const before = gradients.get(id);
        gradients.set(id, before ? tf.add(before, slope) : slope);
        if (before) tf.dispose([before, slope]);
      }
      for (const { id } of node.outputs) {
        gradients.get(id)?.dispose();
        gradients.delete(id);
      }
    }
    tf.dispose((node.saved ?? []) as tf.Tensor[]);
  }
  const named: Record<string, tf.Tensor> = {};
  for (const variable of variables) {
    const gradient = gradients.get(variable.id);
    if (gradient) named[variable.name] = gradient;
  }
  return named;
}

/** Gradients of a node's inputs, tensors of their own each. */
function slopesOf(node: TapeNode, names: readonly string[], gradients: ReadonlyMap<number, tf.Tensor>): tf.Tensor[] {
  const dys = node.outputs.map(({ id }) => gradients.get(id) ?? null);
  const { nextTensorId } = (tf.engine() as unknown as Engine).state;
  return tf.tidy(() => {
    if (!node.gradient) throw new Error(`tfjs has no gradient of ${node.kernelName}`);
    const functions = node.gradient(dys);
    const taken = new Set<tf.Tensor>();
    return names.map((name) => {
      const slope = functions[name]?.();
      if (!slope) throw new Error(`the gradient of ${node.kernelName} has none of its input ${name}`);
      const { shape, dtype } = node.inputs[name] as tf.Tensor;
      if (slope.dtype !== 'float32' || slope.shape.join() !== shape.join()) {
        throw new Error(
          `the gradient of ${node.kernelName} in its input ${name} is ${slope.dtype} [${slope.shape.join(', ')}], expected float32 [${shape.join(', ')}] as the ${dtype} input`,
        );
      }
      // One that somebody else holds, or that comes twice, is not to be freed here.
      const isOwn = slope.id >= nextTensorId && !slope.kept && !taken.has(slope);
      const own = isOwn ? slope : tf.clone(slope);
      taken.add(own);
      return own;
    });
  });
}

/** Nodes through which the value depends on the variables, and the tensors that do. */
function pathBetween(
  tape: readonly TapeNode[],
  value: tf.Scalar,
  variables: readonly tf.Variable[],
): { readonly path: ReadonlySet<TapeNode>; readonly dependent: ReadonlySet<number> } {
  const dependent = new Set(variables.map(({ id }) => id));
  const reached = new Set<TapeNode>();
  for (const node of tape) {
    if (!Object.values(node.inputs).some(({ id }) => dependent.has(id))) continue;
    reached.add(node);
    for (const { id } of node.outputs) dependent.add(id);
  }
  const needed = new Set([value.id]);
  const path = new Set<TapeNode>();
  for (const node of tape.toReversed()) {
    if (!reached.has(node) || !node.outputs.some(({ id }) => needed.has(id))) continue;
    path.add(node);
    for (const { id } of Object.values(node.inputs)) needed.add(id);
  }
  return { path, dependent };
}
