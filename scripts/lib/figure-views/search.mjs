// Searches, predictors, evolution.
import { percent, thousands, times, view, where } from './view.mjs';

export const search = [
  {
    name: 'linas',
    title: 'LINAS',
    tables: (document) =>
      [...new Set(document.rows.map((row) => row.problem))].map((problem) => {
        const rows = where(document, { problem });
        const counts = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => /^at\d+$/.test(key));
        return view(`${problem}: hypervolume after so many measurements, median of seeds (1 is ${rows[0].of})`, rows, {
          tactic: 'tactic',
          seeds: 'seeds',
          ...Object.fromEntries(counts.map((key) => [`after ${key.slice(2)}`, key])),
          'worst seed': 'worstSeed',
          'seconds a run': 'secondsPerRun',
        });
      }),
  },
  {
    name: 'peers',
    title: 'Searches against pymoo and Optuna',
    tables: (document) => {
      const cells = where(document, { part: 'hypervolume' });
      const counts = [50, 100, 200, 400, 800];
      const share = (row, count) =>
        row[`at${count}`] === undefined
          ? undefined
          : `${row[`at${count}`].toFixed(4)} (${row[`worst${count}`].toFixed(4)})${row[`seeds${count}`] ? `, ${row[`seeds${count}`]} seeds` : ''}`;
      return [
        ...[...new Set(cells.map(({ task }) => task))].map((task) =>
          view(
            `${task}: share of the hypervolume after so many measurements, median (worst seed)`,
            cells.filter((row) => row.task === task),
            {
              search: 'algorithm',
              seeds: 'seeds',
              ...Object.fromEntries(counts.map((count) => [`after ${count}`, (row) => share(row, count)])),
              'CPU seconds a run': 'cpuSecondsPerRun',
            },
          ),
        ),
        view('Where LINAS stands in each cell', where(document, { part: 'standing of linas' }), {
          task: 'task',
          measurements: 'measurements',
          LINAS: 'ours',
          standing: 'standing',
          'best other': 'best',
          its: 'bestMedian',
        }),
        view(
          '25,000 evaluations of NSGA-II: hypervolume and CPU time, in one run',
          where(document, { part: '25,000 evaluations' }),
          {
            problem: 'problem',
            seeds: 'seeds',
            'ours, median (least to most)': (row) => `${row.median} (${row.least} to ${row.most})`,
            'pymoo 0.6.2': (row) => `${row.pymooMedian} (${row.pymooLeast} to ${row.pymooMost})`,
            'CPU seconds': 'cpuSeconds',
            "pymoo's": 'pymooCpuSeconds',
            'times less': ({ timesLessCpu }) => times(timesLessCpu),
          },
        ),
        ...[
          ['exact hypervolume', "Exact hypervolume beside moocore's (C): CPU time"],
          ['hypervolume contributions', "What each point adds to the hypervolume, beside moocore's (C): CPU time"],
        ].map(([part, title]) =>
          view(title, where(document, { part }), {
            objectives: 'objectives',
            points: 'points',
            fronts: 'fronts',
            'ms a front': 'ms',
            "moocore's ms": 'moocoreMs',
            "of moocore's": ({ timesOfMoocore }) => times(timesOfMoocore),
          }),
        ),
      ];
    },
  },
  {
    name: 'search-lanes',
    title: 'Lanes of a search',
    tables: (document) => [
      view('Share of the time in which lanes measure, trial times log-normal with σ = 0.8', document.rows, {
        tactic: 'tactic',
        proposals: 'proposals',
        lanes: 'lanes',
        measurements: 'evaluations',
        'median time (ms)': 'medianMs',
        busy: ({ busy }) => percent(busy),
        seconds: 'seconds',
        'of them proposing': 'proposingSeconds',
        hypervolume: 'hypervolume',
      }),
    ],
  },
  {
    name: 'early-stopping',
    title: 'Early stopping',
    tables: (document) => [
      view(
        'Validation of sub-networks in 16 parts: the work of a search that stops trials, and its front; medians of seeds, 1 is the search that stops none',
        document.rows,
        {
          tactic: 'tactic',
          seeds: 'seeds',
          trials: 'evaluations',
          images: 'images',
          'dominated when proposed': 'dominated',
          stopped: 'stopped',
          work: ({ work }) => percent(work),
          'most work': ({ mostWork }) => percent(mostWork),
          hypervolume: 'hypervolumeOfWhole',
          'of the worst seed': 'worstOfWhole',
          'of as much work without stopping': 'hypervolumeAtSameWork',
        },
      ),
    ],
  },
  {
    name: 'search-trials',
    title: 'Studies of many trials',
    tables: (document) => [
      view('LINAS proposes 50 candidates of BERT-synth', where(document, { what: 'proposal of 50' }), {
        'after trials': ({ trials }) => thousands(trials),
        'CPU seconds': 'cpuSeconds',
        'ms a candidate': 'cpuMsPerCandidate',
      }),
      view('A study in a file', where(document, { what: 'study' }), {
        trials: ({ trials }) => thousands(trials),
        'ms a trial to measure and write': 'writeMsPerTrial',
        'CPU seconds to open': 'openSeconds',
        'CPU seconds for its front': 'frontSeconds',
        MiB: 'megabytes',
      }),
      view('Resumed for a round of 50 more', where(document, { what: 'resumed for a round of 50' }), {
        trials: ({ trials }) => thousands(trials),
        'CPU seconds': 'cpuSeconds',
        seconds: 'wallSeconds',
      }),
    ],
  },
  { name: 'predictors', title: 'Predictors' },
  {
    name: 'predictor-table',
    title: 'Predictors on measured networks',
    tables: (document) =>
      [...new Set(document.rows.map(({ set }) => set))].map((set) => {
        const rows = where(document, { set });
        const sizes = [...new Set(rows.map(({ rows: size }) => size))];
        const methods = [...new Set(rows.map(({ method }) => method))].map((method) => ({ method }));
        const cell = (method, size) => {
          const row = rows.find((each) => each.method === method && each.rows === size);
          return row && `${row.mapePercent} %, ${row.kendallTau}`;
        };
        return view(`${set}: MAPE and Kendall's τ on 500 others, median of seeds`, methods, {
          predictor: 'method',
          ...Object.fromEntries(sizes.map((size) => [`from ${size} rows`, ({ method }) => cell(method, size)])),
        });
      }),
  },
  {
    name: 'nsga2',
    title: 'NSGA-II',
    tables: (document) => [
      view(
        'Hypervolume after 25,000 evaluations, beside the bands of pymoo 0.6.2 (quoted, not run)',
        where(document, { part: 'quality' }).filter((row) => row.pymooHypervolumeQuoted),
        {
          problem: 'problem',
          algorithm: 'algorithm',
          'median of seeds': ({ hypervolumeMedian }) => hypervolumeMedian.toFixed(4),
          seeds: 'seeds',
          'pymoo (quoted)': 'pymooHypervolumeQuoted',
          ms: 'ms',
        },
      ),
      view(
        'Non-dominated sorting against comparing all pairs',
        where(document, { part: 'sort' }).filter((row) => row.allPairsMs !== undefined),
        {
          points: 'points',
          objectives: 'objectives',
          ms: 'ms',
          'all pairs (ms)': 'allPairsMs',
          faster: ({ timesFaster }) => times(timesFaster),
        },
      ),
      view('Exact hypervolume', where(document, { part: 'hypervolume' }), {
        points: 'points',
        objectives: 'objectives',
        ms: 'ms',
      }),
    ],
  },
];
