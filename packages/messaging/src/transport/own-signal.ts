import { setMaxListeners } from 'node:events';

/** A controller whose signal may have any number of listeners: one for each operation that runs. */
export function ownController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
