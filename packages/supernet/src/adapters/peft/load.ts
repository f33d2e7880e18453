// loadAdapters: a folder that peft saved, onto the base that it is for.
import {
  canonicalBindings,
  locate,
  openSafetensors,
  optionalJson,
  toSlot,
  type CheckpointFiles,
  type Family,
  type SafetensorsFile,
  type WeightSlot,
} from '@hip/checkpoints';
import { SupernetError } from '../../errors.ts';
import { familyOf } from '../../export/family.ts';
import type { ElasticModel } from '../../model/types.ts';
import { adaptedModel } from '../add.ts';
import type { AdaptedProduct } from '../types.ts';
import { readPeftConfig, type PeftConfig } from './config.ts';
import { PEFT_PREFIX, linearModules, namesOf, type LinearModule } from './modules.ts';
import { partValues } from './parts.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from './save.ts';

/** Options of {@link loadAdapters}. */
export interface LoadAdaptersOptions {
  /** Choices of the rank of each layer, for going on with a search. @defaultValue not elastic */
  readonly ranks?: readonly number[] | undefined;
  /** @defaultValue the built-in families */
  readonly families?: readonly Family[] | undefined;
}

/**
 * Low-rank adapters from a folder that peft (or {@link saveAdapters}) wrote, an `http(s)://` address, the Hub (`hf://owner/name`) or any
 * {@link CheckpointFiles}, beside the weights of the base that they were trained on: a model as `addAdapters` makes it. Ranks and α may
 * differ by module; `use_rslora` is read; modules that peft saved whole (a classifier) are slots of the model's own.
 *
 * @throws SupernetError `file-not-found`, `invalid-config`, `unsupported` (DoRA, biases and other variants, beginnings that change the
 * base, `adapter_model.bin`), `missing-weight`, `invalid-shape` (another base), `invalid-safetensors`, `invalid-option` (ranks)
 *
 * @example
 * ```ts
 * import { addAdapters, loadAdapters, saveAdapters } from '@instatune/supernet';
 *
 * await saveAdapters(addAdapters(model), undefined, './out/trained');
 * const adapted = await loadAdapters(model, './out/trained', { ranks: [0, 4, 8] });
 * console.log(adapted.space.fullRank, adapted.adapters!.products[0]!.scale); // => 8 1
 * ```
 */
export async function loadAdapters(
  base: ElasticModel,
  location: string | CheckpointFiles,
  { ranks, families }: LoadAdaptersOptions = {},
): Promise<ElasticModel> {
  const files = typeof location === 'string' ? locate(location).files : location;
  const raw = await optionalJson(files, ADAPTER_CONFIG);
  if (!raw) throw absent(files, ADAPTER_CONFIG, 'give a folder that peft saved');
  const config = readPeftConfig(raw, files.location);
  const source = await files.open(ADAPTER_WEIGHTS);
  if (!source) throw absent(files, ADAPTER_WEIGHTS, 'save it by peft with safe_serialization=True');
  const file = await openSafetensors(source);
  try {
    const read = new AdapterReader(base, familyOf(base.config, families), config, file);
    const { products, replaced, values } = await read.all();
    const rank = Math.max(0, ...products.map((product) => product.rank));
    const beyond = ranks?.find((each) => !(Number.isInteger(each) && each >= 0 && each <= rank));
    if (beyond !== undefined) {
      throw new SupernetError('invalid-option', `ranks has ${beyond}: expected integers 0…${rank}`, { ranks, rank });
    }
    return adaptedModel(base, { products, replaced, values, ranks });
  } finally {
    await file.close();
  }
}

/** What a file says of a base's modules. */
class AdapterReader {
  readonly #base: ElasticModel;
  readonly #family: Family;
  readonly #config: PeftConfig;
  readonly #file: SafetensorsFile;
  readonly #modules: ReadonlyMap<string, LinearModule>;
  readonly #values = new Map<string, Float32Array>();

  constructor(base: ElasticModel, family: Family, config: PeftConfig, file: SafetensorsFile) {
    this.#base = base;
    this.#family = family;
    this.#config = config;
    this.#file = file;
    this.#modules = new Map(
      [...linearModules(family, base.config).values()].flatMap((module) =>
        namesOf(module.name, family).map((name) => [name, module] as const),
      ),
    );
  }

  /** Everything in the file, of the base's layers in order. */
  async all(): Promise<{ products: AdaptedProduct[]; replaced: string[]; values: ReadonlyMap<string, Float32Array> }> {
    const found: AdaptedProduct[] = [];
    const replaced: string[] = [];
    for (const tensor of this.#file.tensors.keys()) {
      const module = /^(.*)\.lora_A\.weight$/.exec(tensor)?.[1];
      if (module !== undefined) found.push(...(await this.#module(module)));
      else if (!tensor.endsWith('.lora_B.weight')) replaced.push(await this.#slot(tensor));
      else if (!this.#file.tensors.has(tensor.replace('.lora_B.', '.lora_A.')))
        throw new SupernetError('missing-weight', `${tensor} has no lora_A beside it`, { tensor });
    }
    const order = new Map(this.#base.slots.map(({ name }, i) => [name, i]));
    const place = ({ name }: AdaptedProduct): number => order.get(`${name}.weight`) as number;
    return { products: found.sort((a, b) => place(a) - place(b)), replaced, values: this.#values };
  }

  async #module(stored: string): Promise<AdaptedProduct[]> {
    const name = stored.startsWith(PEFT_PREFIX) ? stored.slice(PEFT_PREFIX.length) : stored;
    const module = this.#modules.get(name);
    if (!module) {
      const message = `${name} has an adapter, and no product of a layer of this ${this.#base.family} model is called so: merge it by peft, or leave the module out`;
      throw new SupernetError('unsupported', message, { module: name });
    }
    const [a, b] = [await this.#read(`${stored}.lora_A.weight`), await this.#read(`${stored}.lora_B.weight`)];
    const rank = a.shape[0] as number;
    const told = this.#config.rankOf(name);
    const expected = { a: [told, module.inputs], b: [module.outputs, told] };
    for (const [tensor, shape] of [[a, expected.a] as const, [b, expected.b] as const]) {
      if (tensor.shape.join() === shape.join()) continue;
      const message = `tensor ${tensor.name} has shape [${tensor.shape.join(', ')}], adapter_config.json and the base imply [${shape.join(', ')}]`;
      throw new SupernetError('invalid-shape', message, { tensor: tensor.name, actual: tensor.shape, expected: shape });
    }
    const scale = this.#config.alphaOf(name) / (this.#config.isRankStabilized ? Math.sqrt(rank) : rank);
    return partValues(module, { a: a.data, b: b.data, rank }).map(({ slot, values, rank: own }) => {
      const product = slot.name.replace(/\.weight$/, '');
      this.#values.set(`${product}.loraA`, values.a).set(`${product}.loraB`, values.b);
      return { name: product, layer: slot.layer as number, rank: own, scale };
    });
  }

  /** A tensor that peft saved whole. */
  async #slot(tensor: string): Promise<string> {
    const stored = tensor.startsWith(PEFT_PREFIX) ? tensor.slice(PEFT_PREFIX.length) : tensor;
    const { config, slots } = this.#base;
    const bindings = canonicalBindings(this.#family, config, slots);
    const index = bindings.findIndex((binding) => namesOf(binding.tensor, this.#family).includes(stored));
    const [binding, slot] = [bindings[index], slots[index] as WeightSlot];
    if (!binding || binding.part || binding.rows) {
      const message = `${tensor}: a ${this.#base.family} model has no such tensor that is saved beside adapters`;
      throw new SupernetError('unsupported', message, { tensor });
    }
    this.#values.set(slot.name, toSlot(binding, await this.#read(tensor), slot.shape, config.patches));
    return slot.name;
  }

  async #read(tensor: string): Promise<{ name: string; shape: readonly number[]; data: Float32Array }> {
    const { name, shape, data } = await this.#file.read(tensor);
    if (data instanceof Float32Array) return { name, shape, data };
    throw new SupernetError('unsupported-dtype', `tensor ${tensor} holds integers, expected floats`, { tensor });
  }
}

function absent(files: CheckpointFiles, name: string, fix: string): SupernetError {
  const message = `${files.location} has no ${name}: ${fix}`;
  return new SupernetError('file-not-found', message, { path: `${files.location}/${name}` });
}
