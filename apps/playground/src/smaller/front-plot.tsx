// The Pareto front as it grows: latency across, loss downwards from the worst; a point is a button.
import { milliseconds } from '../shell/format.ts';
import type { SubnetPoint } from './protocol.ts';

const [WIDTH, HEIGHT, LEFT, BOTTOM, MARGIN] = [480, 300, 52, 40, 14];

interface FrontPlotProps {
  readonly points: readonly SubnetPoint[];
  /** Numbers of those on the front, the fastest first. */
  readonly front: readonly number[];
  readonly chosen: number | undefined;
  readonly onChoose: (number: number) => void;
}

/** A scale from values to pixels, with three ticks. */
function scaleOf(
  values: readonly number[],
  from: number,
  to: number,
): { at(value: number): number; ticks: readonly number[] } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  const [first, last] = [low - room, high + room];
  return {
    at: (value) => from + ((value - first) / (last - first)) * (to - from),
    ticks: [low, (low + high) / 2, high].filter((tick, i, all) => all.indexOf(tick) === i),
  };
}

export function FrontPlot({ points, front, chosen, onChoose }: FrontPlotProps) {
  if (points.length === 0) return null;
  const x = scaleOf(
    points.map(({ latency }) => latency),
    LEFT,
    WIDTH - MARGIN,
  );
  const y = scaleOf(
    points.map(({ loss }) => loss),
    HEIGHT - BOTTOM,
    MARGIN,
  );
  // As many digits as tell the ticks apart.
  const span = y.ticks.at(-1)! - y.ticks[0]!;
  const lossDigits = Math.min(6, Math.max(2, 1 + Math.ceil(-Math.log10(span || 1))));
  const onFront = new Set(front);
  const line = front
    .map((number) => points.find((point) => point.number === number)!)
    .map(({ latency, loss }) => `${x.at(latency)},${y.at(loss)}`)
    .join(' ');
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="group"
      aria-label="Measured sub-networks: latency across, loss upwards"
      class="front"
    >
      {x.ticks.map((tick) => (
        <text key={tick} x={x.at(tick)} y={HEIGHT - BOTTOM + 18} text-anchor="middle">
          {milliseconds(tick)}
        </text>
      ))}
      {y.ticks.map((tick) => (
        <text key={tick} x={LEFT - 6} y={y.at(tick) + 4} text-anchor="end">
          {tick.toFixed(lossDigits)}
        </text>
      ))}
      <text x={(LEFT + WIDTH) / 2} y={HEIGHT - 4} text-anchor="middle">
        latency on this device, loss upwards: less of both is better
      </text>
      <polyline points={line} />
      {points.map((point) => {
        const { number, latency, loss, isFull } = point;
        const choose = (): void => onChoose(number);
        const classes = [onFront.has(number) && 'best', number === chosen && 'chosen', isFull && 'full'];
        return (
          <circle
            key={number}
            class={classes.filter(Boolean).join(' ')}
            cx={x.at(latency)}
            cy={y.at(loss)}
            r={onFront.has(number) ? 7 : 5}
            role="button"
            tabindex={onFront.has(number) ? 0 : -1}
            aria-pressed={number === chosen}
            aria-label={`${isFull ? 'the whole network' : `sub-network ${number}`}: ${milliseconds(latency)}, loss ${loss.toFixed(3)}`}
            onClick={choose}
            onKeyDown={(event) => {
              if (event.key !== 'Enter' && event.key !== ' ') return;
              event.preventDefault();
              choose();
            }}
          />
        );
      })}
    </svg>
  );
}
