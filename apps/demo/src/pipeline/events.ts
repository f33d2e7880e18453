// What a run tells while it goes: the command line prints it, the page draws it.
import type { SearchProgress } from '@instatune/search';
import type { AskProgress } from './ask.ts';
import type { TrainingProgress } from './fine-tune.ts';
import type { LongContextProgress } from './long-context.ts';
import type { FullCost } from './search.ts';
import type { Chosen, Exported, Finetune, LongContextRow, PassKeys, Search } from './result.ts';

export type DemoEvent =
  | { readonly type: 'backend'; readonly name: string; readonly adapter: string | undefined }
  | {
      readonly type: 'model';
      readonly folder: string;
      /** Of the check prompt's logits. */ readonly difference: number | undefined;
    }
  | {
      readonly type: 'texts';
      readonly text: string;
      readonly tokens: number;
      readonly document: string;
      readonly documentTokens: number;
    }
  | ({ readonly type: 'fine-tuning' } & TrainingProgress)
  | { readonly type: 'fine-tuned'; readonly finetune: Finetune; readonly isResumed: boolean }
  | { readonly type: 'searching'; readonly progress: SearchProgress; readonly full: FullCost | undefined }
  | { readonly type: 'searched'; readonly search: Search }
  | { readonly type: 'chosen'; readonly chosen: Chosen }
  | ({ readonly type: 'prefilling' } & LongContextProgress)
  | { readonly type: 'row'; readonly row: LongContextRow }
  | { readonly type: 'generating'; readonly done: number; readonly total: number }
  | ({ readonly type: 'asking' } & AskProgress)
  | { readonly type: 'asked'; readonly passKeys: PassKeys }
  | { readonly type: 'exported'; readonly exported: Exported }
  | { readonly type: 'written'; readonly report: string; readonly result: string }
  | { readonly type: 'note'; readonly text: string };
