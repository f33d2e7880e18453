// What stands beside the guides. A new guide is one line here; API pages come by themselves.
import type { DefaultTheme } from 'vitepress';

const pages = (entries: Readonly<Record<string, string>>): DefaultTheme.SidebarItem[] =>
  Object.entries(entries).map(([link, text]) => ({ text, link }));

export const guides: DefaultTheme.SidebarItem[] = [
  {
    text: 'Start',
    items: pages({ '/guide/getting-started': 'Getting started', '/guide/coming-from': 'Coming from …' }),
  },
  {
    text: 'Tasks',
    items: pages({
      '/guide/language-models': 'Language models',
      '/guide/serving': 'Serving',
      '/guide/onnx': 'HiP in ONNX models',
      '/guide/long-document': 'A long document in a tfjs model',
      '/guide/tune': 'One command',
      '/guide/smaller-classifier': 'Make my classifier smaller',
      '/guide/adapters': 'Adapters instead of weights',
      '/guide/search': 'Search anything',
      '/guide/studies': 'Studies and workers',
    }),
  },
  {
    text: 'Concepts',
    items: pages({
      '/guide/hip': 'HiP, step by step',
      '/guide/parameters': 'Choosing its parameters',
      '/guide/ablation': 'What pays in the vote',
      '/guide/webgpu': 'HiP on WebGPU',
      '/guide/instatune': 'InstaTune',
    }),
  },
  {
    text: 'Reference',
    items: pages({
      '/specification/hip': 'Specification: HiP',
      '/specification/instatune': 'Specification: InstaTune',
      '/guide/runtimes': 'Browsers and runtimes',
      '/guide/limits': 'What is not there',
      '/guide/benchmarks': 'Benchmarks',
      '/guide/benchmarks-rows': 'Every measured row',
    }),
  },
  {
    text: 'The project',
    items: pages({ '/architecture': 'Architecture', '/guide/adding': 'Adding something' }),
  },
];
