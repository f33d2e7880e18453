// The pages: what each is called, what it says of itself, where it lies. Navigation, titles and tests come from here.

export interface PlaygroundPage {
  /** Folder below the playground's root; '' is the root itself. */
  readonly path: string;
  readonly name: string;
  readonly title: string;
  readonly lead: string;
}

export const PAGES: readonly PlaygroundPage[] = [
  {
    path: '',
    name: 'Playground',
    title: 'See it in the browser',
    lead: 'Everything here is computed on this device, by your own browser: no file leaves it, there is no server behind the pages.',
  },
  {
    path: 'document',
    name: 'Long document',
    title: 'A long document, dense and with HiP',
    lead: 'A language model reads your text twice: with dense attention, which looks back at every token, and with HiP, which searches for those that matter. Beside each other: time, memory, perplexity, and what HiP reads.',
  },
  {
    path: 'smaller',
    name: 'Smaller model',
    title: 'A smaller model of your text',
    lead: 'A language model learns your text as a network of every depth and width; a search finds the sub-networks that are worth having on this device.',
  },
  {
    path: 'studies',
    name: 'Studies',
    title: 'A study, to look at',
    lead: 'Drop a study file: the Pareto front, every trial, which variables matter. Of instatune search, of Optuna, or saved from here.',
  },
  {
    path: 'measure',
    name: 'Measure',
    title: 'How fast attention is here',
    lead: 'Dense and HiP attention of this project beside tensorflow.js and onnxruntime-web, in turns, in your browser; and what other machines took.',
  },
];
