import { MessagingError, type Driver } from '@torcello/messaging';
import { FolderConnection } from './connection.js';
import { Store } from './store.js';

/** The driver, and what its test needs: a way to break every connection. */
export interface FolderDriver extends Driver {
  cut(): void;
}

/** Queues as folders, messages as files, below the folder `root`. Several programs of one machine may share it. */
export function folderDriver(options: { readonly root: string }): FolderDriver {
  const open = new Set<FolderConnection>();
  let number = 0;
  const nextNumber = (): number => (number += 1);
  return {
    schemes: ['folder'],
    connect: async (url, { clock, random, logger }) => {
      // An option that the driver does not know is an error: ignoring it would promise what is not kept.
      const [unknown] = url.options.keys();
      if (unknown !== undefined) throw new MessagingError('INVALID_URL', `folder: has no option "${unknown}"`);
      const store = new Store({ root: options.root, clock, random, nextNumber });
      try {
        await store.open();
      } catch (cause) {
        throw new MessagingError('CONNECT_FAILED', `the folder ${options.root} cannot be used`, { cause });
      }
      const connection = new FolderConnection({ store, clock, logger });
      open.add(connection);
      void connection.closed.then(() => open.delete(connection));
      return connection;
    },
    cut: () => {
      for (const connection of open) connection.lose(new MessagingError('CONNECTION_LOST', 'the folder was cut off'));
    },
  };
}
