// The cross-entropy of one row of logits.

/** −log softmax(row)[target], in nats. */
export function lossOf(row: Float32Array, target: number): number {
  let most = -Infinity;
  for (let i = 0; i < row.length; i++) most = Math.max(most, row[i] as number);
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp((row[i] as number) - most);
  return Math.log(sum) + most - (row[target] as number);
}
