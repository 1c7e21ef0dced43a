import test, { after } from 'node:test';
import { runConformance } from '@torcello/messaging/testing';
import { temporaryFolder } from '@torcello/test-support';
import { folderDriver } from '../src/index.js';

const folder = temporaryFolder('driver-folder');
after(() => folder.remove());

const driver = folderDriver({ root: folder.path });
runConformance({ name: 'folder', driver, url: 'folder:', cut: () => driver.cut() }, test);
