import { mount } from '../shell/mount.tsx';
import { StudiesPage } from './page.tsx';

mount(StudiesPage, '../');
