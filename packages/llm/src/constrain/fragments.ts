// Parts of a network, and how they are put together.
import type { Fragment } from './network.ts';
import { rangesOf, utf8Sequences, type CodePoints } from './code-points.ts';

/** Nothing. */
export const empty: Fragment = (_, from) => from;

/** A text as it is. */
export function literal(text: string): Fragment {
  const bytes = new TextEncoder().encode(text);
  return (network, from) => {
    let at = from;
    for (const byte of bytes) {
      const to = network.state();
      network.byte(at, byte, byte, to);
      at = to;
    }
    return at;
  };
}

/** One of these characters, in UTF-8. */
export function characters(points: CodePoints): Fragment {
  const sequences = rangesOf(points).flatMap(([low, high]) => utf8Sequences(low, high));
  return (network, from) => {
    const end = network.state();
    for (const sequence of sequences) {
      let at = from;
      for (const [index, [low, high]] of sequence.entries()) {
        const to = index === sequence.length - 1 ? end : network.state();
        network.byte(at, low, high, to);
        at = to;
      }
    }
    return end;
  };
}

export function sequence(...parts: readonly Fragment[]): Fragment {
  return (network, from) => parts.reduce((at, part) => part(network, at), from);
}

export function choice(...parts: readonly Fragment[]): Fragment {
  if (parts.length === 1) return parts[0] as Fragment;
  return (network, from) => {
    const end = network.state();
    for (const part of parts) {
      const start = network.state();
      network.empty(from, start);
      network.empty(part(network, start), end);
    }
    return end;
  };
}

export function optional(part: Fragment): Fragment {
  return repeat(part, 0, 1);
}

/** From `least` to `most` times; `most` may be Infinity. */
export function repeat(part: Fragment, least: number, most: number): Fragment {
  return (network, from) => {
    let at = from;
    for (let i = 0; i < least; i++) at = part(network, at);
    if (most === Infinity) {
      const loop = network.state();
      network.empty(at, loop);
      network.empty(part(network, loop), loop);
      const end = network.state();
      network.empty(loop, end);
      return end;
    }
    const end = network.state();
    network.empty(at, end);
    for (let i = least; i < most; i++) {
      // What leaves the part must not come back to it by the way that skips it.
      const start = network.state();
      network.empty(at, start);
      at = part(network, start);
      network.empty(at, end);
    }
    return end;
  };
}

/** What a rule of that name reads; `make` is called once. */
export function rule(name: string, make: () => Fragment): Fragment {
  return (network, from) => {
    const end = network.state();
    network.call(from, network.rule(name, make), end);
    return end;
  };
}
