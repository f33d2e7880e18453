// The loss while the model learns: one line, its ends in numbers.
const [WIDTH, HEIGHT, MARGIN] = [480, 160, 10];

export function LossPlot({ losses, steps }: { readonly losses: readonly number[]; readonly steps: number }) {
  if (losses.length === 0) return null;
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const x = (step: number): number => MARGIN + (step / Math.max(1, steps - 1)) * (WIDTH - 2 * MARGIN);
  const y = (loss: number): number => MARGIN + ((high - loss) / (high - low || 1)) * (HEIGHT - 2 * MARGIN);
  const label = `Loss of the whole network by step: ${losses[0]!.toFixed(2)} at first, ${losses.at(-1)!.toFixed(2)} after ${losses.length}`;
  return (
    <figure style="margin:0">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label} class="loss">
        <polyline points={losses.map((loss, step) => `${x(step)},${y(loss)}`).join(' ')} />
      </svg>
      <figcaption class="note">{label}.</figcaption>
    </figure>
  );
}
