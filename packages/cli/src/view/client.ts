// The script of the page that `instatune view` shows: mounts the study that stands in the page and, where a server is behind it, follows that.
import { mountStudy, type StudyView } from '@instatune/search/report';

/** Where the page's server tells of changes; a page that was written to a file has none. */
const EVENTS = document.documentElement.dataset['events'];

const element = document.querySelector('#study');
const root = document.querySelector('main');
if (!element || !root) throw new Error('this page holds no study: write it again with `instatune view`');
const mounted = mountStudy(root, JSON.parse(element.textContent) as StudyView);

function follow(address: string): void {
  const events = new EventSource(address);
  let busy = false;
  let again = false;
  const fetchView = async (): Promise<void> => {
    again = busy;
    if (busy) return;
    busy = true;
    try {
      const response = await fetch('study.json');
      if (response.ok) mounted.update((await response.json()) as StudyView);
    } catch {
      // The server is gone, or between two changes: the next event asks again.
    }
    busy = false;
    if (again) await fetchView();
  };
  events.addEventListener('message', () => void fetchView());
}

if (EVENTS !== undefined) follow(EVENTS);
