// Norms, activations and soft-caps as ONNX nodes.
import type { Activation } from '@hip/checkpoints';
import type { LayerContext } from './context.ts';
import type { OnnxGraph } from './graph.ts';

/** The configuration's norm over the last axis. */
export function normNodes(context: LayerContext, x: string, name: string): string {
  return context.config.norm.kind === 'rms' ? rmsNodes(context, x, `${name}.weight`) : layerNormNodes(context, x, name);
}

/** LayerNorm over the last axis. */
export function layerNormNodes({ graph, weights, config }: LayerContext, x: string, name: string): string {
  const operands = [x, weights.float(graph, `${name}.weight`)];
  if (weights.has(`${name}.bias`)) operands.push(weights.float(graph, `${name}.bias`));
  return graph.op('LayerNormalization', operands, { axis: -1n, epsilon: config.norm.epsilon });
}

/** RMS norm over the last axis; `weight` is the slot. */
export function rmsNodes({ graph, weights, config }: LayerContext, x: string, weight: string): string {
  const { offset = 0, epsilon } = config.norm;
  const change = offset === 0 ? undefined : (values: Float32Array) => values.map((value) => value + offset);
  const scale = weights.float(graph, weight, { change });
  return graph.op('RMSNormalization', [x, scale], { axis: -1n, epsilon });
}

/** Activation function. */
export function activationNodes(graph: OnnxGraph, x: string, activation: Activation): string {
  switch (activation) {
    case 'silu':
      return graph.op('Mul', [x, graph.op('Sigmoid', [x])]);
    case 'quick-gelu':
      return graph.op('Mul', [x, graph.op('Sigmoid', [graph.op('Mul', [x, graph.float(1.702)])])]);
    case 'relu':
      return graph.op('Relu', [x]);
    case 'tanh':
      return graph.op('Tanh', [x]);
    case 'gelu': {
      const erf = graph.op('Erf', [graph.op('Mul', [x, graph.float(Math.SQRT1_2)])]);
      return graph.op('Mul', [graph.op('Mul', [x, graph.op('Add', [erf, graph.float(1)])]), graph.float(0.5)]);
    }
    case 'gelu-tanh': {
      const square = graph.op('Mul', [x, x]);
      const factor = graph.op('Add', [graph.op('Mul', [square, graph.float(0.044715)]), graph.float(1)]);
      const inner = graph.op('Mul', [graph.op('Mul', [x, factor]), graph.float(Math.sqrt(2 / Math.PI))]);
      const sum = graph.op('Add', [graph.op('Tanh', [inner]), graph.float(1)]);
      return graph.op('Mul', [graph.op('Mul', [x, sum]), graph.float(0.5)]);
    }
  }
}

/** cap · tanh(x / cap). */
export function softcapNodes(graph: OnnxGraph, x: string, cap: number): string {
  return graph.op('Mul', [graph.op('Tanh', [graph.op('Div', [x, graph.float(cap)])]), graph.float(cap)]);
}
