// Conversations of one pool: whatever is appended, forked, cut back and dropped, each gives what it gives alone; no page is lost.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { planModelPool, type ModelPoolOptions } from '../../src/decode/model-plan.ts';
import { ModelPool } from '../../src/decode/model-pool.ts';
import type { ModelSession } from '../../src/decode/model-session.ts';
import { ModelTurn } from '../../src/decode/model-turn.ts';
import { GpuCall, type PreparedCall } from '../../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../../src/dispatch/context.ts';
import { readBytes } from '../../src/dispatch/tensor.ts';
import { bitsOf, LAYERS, tensorsOf, turn } from '../support/conversations.ts';

const pageTokens = 16;

type Action =
  | { readonly kind: 'append'; readonly at: number; readonly tokens: number; readonly seed: number }
  | { readonly kind: 'fail'; readonly at: number; readonly tokens: number }
  | { readonly kind: 'truncate'; readonly at: number; readonly keep: number }
  | { readonly kind: 'fork' | 'drop'; readonly at: number };

const at = fc.nat(20);
const actions: fc.Arbitrary<readonly Action[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        at,
        tokens: fc.constantFrom(1, 1, 1, 5, 16, 40),
        seed: fc.nat(99),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('fail' as const), at, tokens: fc.constantFrom(1, 20) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('truncate' as const),
        at,
        keep: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('fork' as const, 'drop' as const), at }) },
  ),
  { minLength: 6, maxLength: 12 },
);

/** What was done to a conversation that is not forked. */
type Deed = { readonly tokens: number; readonly seed: number } | { readonly cut: number };

/** Cuts a session back, or says why not. */
function cutBack(session: ModelSession, length: number): string {
  try {
    session.truncate(length);
    return 'cut';
  } catch (error) {
    return String(Object(error).code);
  }
}

describeGpu('conversations of a model', (gpu) => {
  let context: GpuContext;
  beforeAll(async () => {
    context = contextOf(await gpu.device({ features: ['subgroups'], limits: 'default' }));
  });
  afterAll(() => context.device.destroy());

  const poolOf = (offload: boolean, tokens = 1024, more: Partial<ModelPoolOptions> = {}): ModelPool =>
    new ModelPool(context, { layers: LAYERS, tokens, maxTokens: 256, pageTokens, offload, ...more });
  /** The layer with a window keeps the newest tokens of three conversations. */
  const SLIDING = { conversations: 3, spareTokens: 8 };

  /** A conversation in a pool of its own, which did the same. */
  async function alone(deeds: readonly Deed[]): Promise<{ pool: ModelPool; session: ModelSession }> {
    const pool = poolOf(false);
    const session = pool.createSession();
    for (const deed of deeds) {
      if ('cut' in deed) session.truncate(deed.cut);
      else await turn(context, session, deed.tokens, deed.seed);
    }
    return { pool, session };
  }

  /** Slots for fewer tokens than one of the conversations may have. */
  const FEW = 144;

  async function check(list: readonly Action[], offload: boolean, more: Partial<ModelPoolOptions> = {}): Promise<void> {
    using pools = new DisposableStack();
    const { tokens: room = offload ? FEW : 1024 } = more;
    const pool = pools.use(poolOf(offload, room, more));
    const open: { session: ModelSession; deeds: Deed[]; reference: ModelSession }[] = [];
    const add = async (session: ModelSession, deeds: readonly Deed[]): Promise<void> => {
      const { pool: own, session: reference } = await alone(deeds);
      pools.use(own);
      open.push({ session, deeds: [...deeds], reference });
    };
    await add(pool.createSession(), []);
    const first: Action = { kind: 'append', at: 0, tokens: 40, seed: 7 };
    for (const action of [first, ...list]) {
      const index = action.at % open.length;
      const { session, deeds, reference } = open[index]!;
      let [given, wanted] = ['', ''];
      if (action.kind === 'append') {
        const { tokens, seed } = action;
        if (session.length + tokens > 150) continue;
        given = await turn(context, session, tokens, seed);
        wanted = await turn(context, reference, tokens, seed);
        deeds.push({ tokens, seed });
      } else if (action.kind === 'fail') {
        session.begin(action.tokens).rollback();
      } else if (action.kind === 'truncate') {
        const cut = Math.floor(action.keep * session.length);
        // What a window sees, and a little more, is there always.
        wanted = session.canTruncate(cut) ? 'cut' : 'unsupported';
        given = cutBack(session, cut);
        if (given === 'cut') {
          reference.truncate(cut);
          deeds.push({ cut });
        }
      } else if (action.kind === 'fork' && open.length < 3) await add(session.fork(), deeds);
      else if (action.kind === 'drop' && open.length > 1) {
        session.dispose();
        reference.dispose();
        open.splice(index, 1);
      }
      expect(given).toBe(wanted);
      expect(open.map((each) => each.session.length)).toEqual(open.map((each) => each.reference.length));
    }
    for (const { session, reference } of open) {
      session.dispose();
      reference.dispose();
    }
    expect(pool.freeTokens).toBe(room);
    expect(pool.hostBytes).toBe(0);
    await context.settled();
  }

  it('give what separate caches give, bit for bit, and lose no page', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(actions, (list) => check(list, false)),
      { numRuns: 4, endOnFailure: true },
    );
  });

  it('… and with cold pages on the host', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(actions, (list) => check(list, true)),
      { numRuns: 3, endOnFailure: true },
    );
  });

  it.each([false, true])('… and with windows that slide, pages on the host: %s', async (offload) => {
    const more = { ...SLIDING, tokens: offload ? 224 : 1024 };
    using pool = poolOf(offload, more.tokens, SLIDING);
    expect(pool.kept).toEqual([null, 31, null]);
    await fc.assert(
      fc.asyncProperty(actions, (list) => check(list, offload, more)),
      { numRuns: 2, endOnFailure: true },
    );
  });

  it('holds the newest tokens of a layer whose window slides, in as many pages as it says', async () => {
    const options = { layers: LAYERS, tokens: 1024, maxTokens: 512, pageTokens, ...SLIDING };
    // Of each of three conversations, and of one that is being read: ⌈31 / 16⌉ + 1 pages.
    expect(planModelPool(options, context).pages).toBe((2 * 1024 + 4 * 3 * 16) * 2 * 16 * 2);
    using pool = new ModelPool(context, options);
    const session = pool.createSession();
    for (const [i, tokens] of [300, 1, 1, 17, 1, 100].entries()) await turn(context, session, tokens, i);
    expect(session.length).toBe(420);
    const cuts = [419, 407, 406, 100, 0].map((length) => session.canTruncate(length));
    expect(cuts).toEqual([true, true, false, false, true]);
    expect(() => session.truncate(406)).toThrow(/tokens before 384/u);
    // A second one begins where the first one ended.
    const fork = session.fork();
    session.dispose();
    const bits = await turn(context, fork, 3, 9);
    using reference = poolOf(false, 1024, { maxTokens: 512 });
    const whole = reference.createSession();
    for (const [i, tokens] of [300, 1, 1, 17, 1, 100].entries()) await turn(context, whole, tokens, i);
    expect(bits).toBe(await turn(context, whole, 3, 9));
    for (const [name, value] of [
      ['conversations', 0],
      ['spareTokens', -1],
    ] as const)
      expect(() => poolOf(false, 1024, { [name]: value })).toThrow(new RegExp(`${name} is ${value}`, 'u'));
  });

  it.each([false, true])(
    'saves a session and goes on from it in another pool, pages on the host: %s',
    async (offload) => {
      const more = { ...SLIDING, tokens: offload ? 224 : 1024, maxTokens: 512 };
      using pool = poolOf(offload, more.tokens, more);
      using other = poolOf(offload, more.tokens, more);
      const session = pool.createSession();
      for (const [i, tokens] of [200, 1, 1, 60, 1, 1].entries()) await turn(context, session, tokens, i);
      const saved = structuredClone(await session.save());
      const again = other.createSession();
      // Somebody else's pages lie before.
      await turn(context, other.createSession(), 20, 3);
      again.restore(saved);
      for (const [layer, count] of session.pieces(session.length).entries())
        for (let piece = 0; piece < count; piece++)
          await again.writePiece(layer, piece, await session.readPiece(layer, piece));
      expect(again.length).toBe(264);
      for (const [i, tokens] of [1, 1, 1, 30, 1].entries())
        expect([i, await turn(context, again, tokens, 20 + i)]).toEqual([
          i,
          await turn(context, session, tokens, 20 + i),
        ]);
      await expect(again.writePiece(0, 0, new Uint8Array(3))).rejects.toMatchObject({ code: 'invalid-shape' });
      expect(() => again.restore(saved)).toThrow(/restore into an empty one/u);
      await context.settled();
    },
  );

  it('reads a prompt layer by layer, and takes steps that want more pages than there are slots', async () => {
    using reference = poolOf(false);
    using pool = poolOf(true, 96);
    const [wanted, given] = [reference.createSession(), pool.createSession()];
    // Once with nothing held, once after that.
    for (const [start, seed] of [
      [0, 1],
      [96, 2],
    ] as const) {
      const chunks = Array.from({ length: 6 }, (_, i) =>
        LAYERS.map((_l, layer) => tensorsOf(context, 16, 100 * seed + 10 * i + layer)),
      );
      const bits: string[] = [];
      for (const tensors of chunks) {
        using begun = wanted.begin(16);
        using call = new GpuCall(context);
        tensors.forEach((each, layer) => begun.encode(call, layer, each));
        begun.submit(call);
        begun.commit();
        bits.push(await bitsOf(context, tensors, false));
      }
      using begun = given.begin(96);
      const saved: Promise<void>[] = [];
      for (const layer of LAYERS.keys()) {
        const room = await begun.open(layer);
        for (const tensors of chunks) {
          using call = new GpuCall(context);
          room.encode(call, tensors[layer]!, 16);
          begun.submit(call);
        }
        saved.push(room.close());
      }
      await Promise.all(saved);
      begun.commit();
      expect(given.length).toBe(start + 96);
      for (const [i, tensors] of chunks.entries()) expect(await bitsOf(context, tensors)).toBe(bits[i]);
      for (let step = 0; step < 4; step++)
        expect(await turn(context, given, 1, 50 + step)).toBe(await turn(context, wanted, 1, 50 + step));
      for (const session of [given, wanted]) session.truncate(start + 96);
    }
    expect(pool.hostBytes).toBeGreaterThan(0);
    // What cannot serve is said before anything is allocated.
    expect(() => poolOf(true, 64)).toThrow(/give at least 96/u);
    await context.settled();
  });

  it('a prepared step serves every step of its phase, and rows of shared tensors are conversations', async () => {
    using pool = poolOf(false);
    const sessions = [44, 70].map(() => pool.createSession());
    const references = [44, 70].map(() => pool.createSession());
    for (const [i, tokens] of [44, 70].entries())
      expect(await turn(context, sessions[i]!, tokens, i)).toBe(await turn(context, references[i]!, tokens, i));
    const tensors = LAYERS.map(() => tensorsOf(context, 2, 1));
    const prepared = new Map<string, PreparedCall>();
    for (let step = 0; step < 8; step++) {
      const turns = sessions.map((session, row) => session.begin(1, { row }));
      const seeds = sessions.map((_, row) => 100 + 2 * step + row);
      LAYERS.forEach((_, layer) =>
        seeds.forEach((seed, row) => {
          const from = tensorsOf(context, 1, 31 * seed + layer);
          const encoder = context.device.createCommandEncoder();
          for (const name of ['q', 'k', 'v'] as const) {
            const size = 2 * from[name].length;
            encoder.copyBufferToBuffer(from[name].buffer, 0, tensors[layer]![name].buffer, row * size, size);
          }
          context.device.queue.submit([encoder.finish()]);
        }),
      );
      const name = turns.map(({ phase }) => phase).join();
      let call = prepared.get(name);
      if (!call) {
        const made = new GpuCall(context);
        tensors.forEach((each, layer) => ModelTurn.encodeTogether(made, layer, turns, each));
        prepared.set(name, (call = made.prepare()));
      }
      turns[0]!.submit(call);
      for (const begun of turns) begun.commit();
      for (const [row, seed] of seeds.entries()) {
        const rows = tensors.map(async ({ out }) => {
          const bytes = await readBytes(context, out.buffer, row * out.length, out.length);
          return new Uint16Array(bytes).join();
        });
        expect([step, row, name, (await Promise.all(rows)).join(';')]).toEqual([
          step,
          row,
          name,
          await turn(context, references[row]!, 1, seed),
        ]);
      }
    }
    expect(prepared.size).toBeLessThan(8);
  });

  it('says before allocating what it takes, and takes that', () => {
    using pool = poolOf(false);
    const { pages, perSession } = planModelPool({ layers: LAYERS, tokens: 1024, maxTokens: 256, pageTokens }, context);
    expect(pages).toBe(3 * 2 * 1024 * 16 * 2);
    const session = pool.createSession();
    expect(session.bytes).toBe(perSession - 3 * 4 * 16);
    session.dispose();
  });

  it('says what scratch a chunk takes, at most, whatever the number of layers', async () => {
    const own = contextOf(await gpu.device({ features: ['subgroups'], limits: 'default' }));
    const layers = [LAYERS[0]!, LAYERS[0]!, LAYERS[0]!];
    const options = { layers, tokens: 512, maxTokens: 256, pageTokens };
    const { chunk } = planModelPool({ ...options, chunkTokens: 96 }, own);
    using pool = new ModelPool(own, options);
    const session = pool.createSession();
    session.begin(160).commit();
    // Another's page in between: what follows is gathered.
    pool.createSession().begin(16).commit();
    using call = new GpuCall(own);
    const tensors = tensorsOf(own, 96, 1);
    using begun = session.begin(96);
    for (const layer of layers.keys()) begun.encode(call, layer, tensors);
    expect(own.pool.bytes).toBeLessThanOrEqual(chunk);
    expect(own.pool.bytes).toBeGreaterThan(chunk / 3);
    call[Symbol.dispose]();
    own.device.destroy();
  });
});
