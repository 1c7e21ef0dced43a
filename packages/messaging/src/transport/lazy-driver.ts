import type { Driver } from '../driver.js';
import { MessagingError } from '../errors.js';

/**
 * A driver that is loaded when a URL first asks for it, so that programs may leave its package out.
 * @param packageName - what to install where it is missing.
 */
export function lazyDriver(schemes: readonly string[], packageName: string, load: () => Promise<Driver>): Driver {
  let loading: Promise<Driver> | undefined;
  return {
    schemes,
    connect: async (url, options) => {
      loading ??= load();
      let driver: Driver;
      try {
        driver = await loading;
      } catch (cause) {
        loading = undefined;
        const message = `the driver for "${url.scheme}:" is not there: npm install ${packageName}`;
        throw new MessagingError('INVALID_URL', message, { cause });
      }
      return driver.connect(url, options);
    },
  };
}
