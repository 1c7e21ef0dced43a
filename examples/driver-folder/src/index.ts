export { folderDriver } from './driver.js';
export type { FolderDriver } from './driver.js';
