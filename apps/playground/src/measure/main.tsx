import { mount } from '../shell/mount.tsx';
import { MeasurePage } from './page.tsx';

mount(MeasurePage, '../');
