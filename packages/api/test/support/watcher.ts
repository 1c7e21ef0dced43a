import assert from 'node:assert/strict';
import type { TestApi } from './test-api.js';

export interface Told {
  readonly event: string;
  readonly id?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into events freely
  readonly data: any;
}

/** A watcher over real HTTP. */
export class Watcher {
  readonly told: Told[] = [];
  readonly over: Promise<void>;
  readonly #abort = new AbortController();

  constructor(test: TestApi, base: string, options: { readonly path: string; readonly lastId?: string }) {
    this.over = this.#read(test, base, options).catch(() => undefined);
  }

  close(): void {
    this.#abort.abort();
  }

  names(): string[] {
    return this.told.map(({ event }) => event);
  }

  async #read(
    test: TestApi,
    base: string,
    options: { readonly path: string; readonly lastId?: string },
  ): Promise<void> {
    const headers = {
      accept: 'text/event-stream',
      'x-auth-token': test.api.secrets.adminToken,
      ...(options.lastId === undefined ? {} : { 'last-event-id': options.lastId }),
    };
    const response = await fetch(base + options.path, { headers, signal: this.#abort.signal });
    assert.equal(response.status, 200);
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) this.#take(block);
    }
  }

  #take(block: string): void {
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const event = fields.get('event');
    const id = fields.get('id');
    if (event !== undefined)
      this.told.push({ event, data: JSON.parse(fields.get('data') ?? 'null'), ...(id === undefined ? {} : { id }) });
  }
}
