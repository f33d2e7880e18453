// What a user of the packed packages does, once per package, with the numbers that must come out. Plain JavaScript for every runtime:
// prints one line of JSON, { package: null or what was wrong }.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

// As in Safari before 18.2: no float16, and no symbols for `using`, which builds lower to calls of methods by those names.
if (process.argv.includes('--older')) {
  delete globalThis.Float16Array;
  const Native = Symbol;
  const Older = (description) => Native(description);
  for (const name of Object.getOwnPropertyNames(Native)) {
    if (['length', 'name', 'prototype', 'dispose', 'asyncDispose'].includes(name)) continue;
    Object.defineProperty(Older, name, Object.getOwnPropertyDescriptor(Native, name));
  }
  Older.prototype = Native.prototype;
  globalThis.Symbol = Older;
}

const near = (got, want, tolerance = 1e-6) =>
  assert.ok(Math.abs(got - want) <= tolerance, `${got} is not within ${tolerance} of ${want}`);
const wave = (length, step) => Float32Array.from({ length }, (_, i) => Math.sin(step * i));
const failure = async (run) => {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};

const checks = {
  async '@instatune/nsga2'() {
    const { hypervolume, integer, kneePoint, minimize, Nsga2, real, zdt } = await import('@instatune/nsga2');
    assert.equal(
      hypervolume(
        [
          [1, 5],
          [2, 4],
          [3, 3],
          [4, 2],
          [5, 1],
        ],
        [6, 6],
      ),
      15,
    );
    const layers = {
      variables: [integer(1, 12), real(0, 1)],
      objectives: 2,
      inequality: 1,
      evaluate: ([count, rate]) => ({
        objectives: [count, (1 - rate) ** 2 + 1 / count],
        inequality: [count * rate - 6],
      }),
    };
    const { front } = await minimize(layers, { maxEvaluations: 2000, seed: 1 });
    const knee = front[kneePoint(front.map(({ objectives }) => objectives))];
    assert.equal(knee.genes[0], 2);
    near(knee.objectives[1], 1 / 2, 1e-3);
    const problem = zdt(1);
    const engine = new Nsga2(problem, { populationSize: 20, seed: 7 });
    engine.tell(engine.ask(20).map(({ id, genes }) => ({ id, objectives: problem.evaluate(genes) })));
    const again = Nsga2.fromJSON(JSON.parse(JSON.stringify(engine)), problem);
    assert.deepEqual(again.ask(5), engine.ask(5));
  },
  async '@instatune/predictors'() {
    const { gaussianProcess, loadModel, ridge } = await import('@instatune/predictors');
    const model = await ridge({ alpha: 1e-9 }).fit([[1], [2], [3], [4]], [3, 5, 7, 9]);
    near(model.predict([[10]])[0], 21, 1e-3);
    near(loadModel(JSON.parse(JSON.stringify(model))).predict([[10]])[0], 21, 1e-3);
    const x = Array.from({ length: 12 }, (_, i) => [i / 2]);
    const gp = await gaussianProcess({ seed: 1 }).fit(
      x,
      x.map(([value]) => Math.sin(value)),
    );
    near(gp.predict([[2.25]])[0], Math.sin(2.25), 0.02);
  },
  async '@hip/mask-search'() {
    const { denseAttention, blockSparseAttention, searchBlockMask, searchKeysOfQuery } =
      await import('@hip/mask-search');
    const keys = Float64Array.of(1, 1, 2, 3, 5, 7, 8, 6, 3, 2, 1, 1, 2, 9, 2, 1);
    assert.deepEqual(searchKeysOfQuery(Float64Array.of(1), keys, { visible: 16, k: 2 }), [5, 6]);
    const shape = { batch: 1, queries: 64, keys: 64, heads: 2, kvHeads: 1, headDim: 8 };
    const [q, k, v] = [wave(64 * 16, 0.3), wave(64 * 8, 0.7), wave(64 * 8, 0.2)];
    const mask = searchBlockMask(q, k, shape, { k: 64 });
    const [sparse, dense] = [blockSparseAttention(q, k, v, shape, mask), denseAttention(q, k, v, shape)];
    near(Math.max(...sparse.map((value, i) => Math.abs(value - dense[i]))), 0, 1e-6);
  },
  async '@hip/kernels-cpu'() {
    const { createCpuRuntime } = await import('@hip/kernels-cpu');
    const { blockSparseAttention } = await import('@hip/mask-search');
    const shape = { batch: 1, queries: 256, keys: 256, heads: 2, kvHeads: 1, headDim: 16 };
    const [q, k, v] = [wave(256 * 32, 0.3), wave(256 * 16, 0.7), wave(256 * 16, 0.2)];
    const outputs = [];
    for (const threads of [1, 2]) {
      const cpu = await createCpuRuntime({ threads });
      try {
        assert.equal(cpu.threads, threads);
        const { output, mask } = cpu.hipAttention(q, k, v, shape, { k: 64 });
        const exact = blockSparseAttention(q, k, v, shape, mask);
        near(Math.max(...exact.map((value, i) => Math.abs(value - output[i]))), 0, 1e-4);
        outputs.push(Array.from(output));
        const cache = cpu.createCache({ heads: 2, kvHeads: 1, headDim: 16, type: 'f16' });
        cache.append(k, v);
        assert.equal(cache.length, 256);
      } finally {
        cpu.close();
      }
    }
    assert.deepEqual(outputs[0], outputs[1]);
  },
  async '@hip/kernels-webgpu'() {
    const { requestHipDevice } = await import('@hip/kernels-webgpu');
    assert.equal(typeof requestHipDevice, 'function');
  },
  async '@hip/llm'() {
    assert.ok(Object.keys(await import('@hip/llm')).length > 0);
  },
  async '@hip/checkpoints'() {
    const { dequantize, openSafetensors } = await import('@hip/checkpoints');
    const block = new Uint8Array(34).fill(3, 2);
    block.set([0x00, 0x38]);
    assert.deepEqual([...dequantize(block, 'Q8_0').subarray(0, 2)], [1.5, 1.5]);
    const json = JSON.stringify({ x: { dtype: 'F16', shape: [4], data_offsets: [0, 8] } });
    const head = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
    const file = new Uint8Array(8 + head.length + 8);
    new DataView(file.buffer).setBigUint64(0, BigInt(head.length), true);
    file.set(head, 8);
    file.set([0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x7c], 8 + head.length);
    const opened = await openSafetensors(file);
    assert.deepEqual([...(await opened.read('x')).data], [1, -2, 2 ** -24, Infinity]);
  },
  async '@hip/onnx'() {
    const onnx = await import('@hip/onnx/model');
    assert.ok(Object.keys(await import('@hip/onnx')).length > 0);
    const graph = onnx.onnxGraph('double', {
      node: [onnx.onnxNode('Mul', ['x', 'two'], ['y'])],
      initializer: [onnx.onnxTensor('two', 'float', [512])],
      input: [onnx.onnxValue('x', 'float', ['batch', 512])],
      output: [onnx.onnxValue('y', 'float', ['batch', 512])],
    });
    const bytes = new Uint8Array(new Float32Array(512).fill(2).buffer);
    const proto = onnx.onnxModel(graph, { '': 21 }, { irVersion: 10 });
    const rendered = await onnx.renderOnnxModel(
      { proto, weight: () => onnx.bytesWeight(bytes) },
      { externalData: true },
    );
    const files = {};
    for (const file of rendered) files[file.name] = await onnx.renderedBytes(file);
    const model = await onnx.openOnnxModel(onnx.memoryFiles(files));
    assert.deepEqual(await model.weight(model.graph.initializer[0]).read(), bytes);
    delete files['model.onnx_data'];
    assert.equal((await failure(() => onnx.openOnnxModel(onnx.memoryFiles(files)))).code, 'missing-data');
  },
  async '@instatune/search'() {
    const { bertSynth, runSearch } = await import('@instatune/search');
    const problem = bertSynth();
    const options = { evaluations: 24, population: 12, seed: 1 };
    const result = await runSearch(problem, { ...options, tactic: 'linas' });
    assert.equal(new Set(result.trials.map(({ key }) => key)).size, 24);
    near(result.hypervolume, (await runSearch(problem, { ...options, tactic: 'linas' })).hypervolume, 0);
    const { queueEvaluator } = await import('@instatune/search/queue');
    const { renderReport } = await import('@instatune/search/report');
    const url = 'redis://127.0.0.1:1';
    for (const [run, install] of [
      [() => queueEvaluator(problem, { url }), /npm i bullmq ioredis$/],
      [() => renderReport(result), /npm i @observablehq\/plot linkedom$/],
    ]) {
      const { code, message } = await failure(run);
      assert.equal(code, 'missing-package');
      assert.match(message, install);
    }
  },
  async '@instatune/cli'() {
    await import('@instatune/cli/pipeline');
  },
  async '@hip/attention'() {
    const tf = await import('@tensorflow/tfjs');
    const { hipAttention, prepareAttention } = await import('@hip/attention');
    const { denseAttention } = await import('@hip/mask-search');
    await tf.setBackend('cpu');
    const prepared = await prepareAttention({ threads: 1 });
    const shape = { batch: 1, queries: 32, keys: 32, heads: 2, kvHeads: 1, headDim: 8 };
    const [q, k, v] = [wave(32 * 16, 0.3), wave(32 * 8, 0.7), wave(32 * 8, 0.2)];
    const tensor = (values, heads) => tf.tensor4d(values, [1, 32, heads, 8]);
    const out = await hipAttention(tensor(q, 2), tensor(k, 1), tensor(v, 1)).data();
    const exact = denseAttention(q, k, v, shape);
    near(Math.max(...exact.map((value, i) => Math.abs(value - out[i]))), 0, 1e-4);
    prepared.close();
  },
  async '@instatune/supernet'() {
    const net = await import('@instatune/supernet');
    const rows = await net.parseLabelledTexts('sentence,label\n"a ""fine"", film",1\ndull,0\n', { delimiter: ',' });
    assert.deepEqual(rows, [
      { text: 'a "fine", film', label: 1 },
      { text: 'dull', label: 0 },
    ]);
    const space = net.createSpace({ layers: 2, heads: 4, ffn: 32 }, { layers: [1, 2], heads: [2, 4], ffn: [16, 32] });
    assert.equal(net.spaceSize(space), 20);
    const tf = await import('@tensorflow/tfjs');
    assert.equal((await net.setUpTfjs({ backends: ['wasm', 'cpu'] })).backend, 'cpu'); // tfjs-wasm is not installed
    const raw = {
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      intermediate_size: 24,
      vocab_size: 32,
      max_position_embeddings: 64,
      tie_word_embeddings: true,
    };
    const config = net.findFamily(raw).readConfig(raw);
    const weights = net.weightSlots(config).map(({ name, shape }) => [
      name,
      wave(
        shape.reduce((a, b) => a * b, 1),
        0.9,
      ),
    ]);
    const model = new net.TransformerModel(config, new Map(weights));
    const { files } = await net.renderCheckpoint(model, undefined, { dtype: 'F16' });
    const bytes = new Map();
    for (const { name, chunks } of files) bytes.set(name, new Uint8Array([...chunks].flatMap((chunk) => [...chunk])));
    const loaded = await net.loadCheckpoint(net.memoryFiles(bytes));
    const ids = tf.tensor2d([[5, 7, 9]], [1, 3], 'int32');
    const [want, got] = [model, loaded.model].map((each) =>
      Array.from(each.forward({ inputIds: ids }).logits.dataSync()),
    );
    near(Math.max(...want.map((value, i) => Math.abs(value - got[i]))), 0, 0.05);
  },
};

const { dependencies } = JSON.parse(await readFile(new URL('package.json', import.meta.url), 'utf8'));
const results = {};
for (const [name, check] of Object.entries(checks)) {
  if (!(name in dependencies)) continue;
  try {
    await check();
    results[name] = null;
  } catch (error) {
    results[name] = String(error?.stack ?? error);
  }
}
process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit(0));
