import { notifier } from '@torcello/messaging';
import type { Notifier, Transport } from '@torcello/messaging';
import type { Context } from '../context.js';

const eventsPerLook = 100;
const sendTimeoutMs = 10_000;

/**
 * Sends events as notifications in oslo.messaging's form, to the topic `notifications`, oldest first. An event is gone
 * from the database when the broker has confirmed it; a crash in between sends it again, with the same `eventId`.
 */
export class EventSender {
  readonly #context: Context;
  #made: { readonly of: Transport; readonly notifier: Notifier } | undefined;

  constructor(context: Context) {
    this.#context = context;
  }

  async send(transport: Transport, signal: AbortSignal): Promise<void> {
    const { store } = this.#context;
    const events = await store.db.selectFrom('events').selectAll().orderBy('id').limit(eventsPerLook).execute();
    for (const event of events) {
      if (signal.aborted) return;
      await this.#notifier(transport, signal).warn(event.type, JSON.parse(event.payload));
      await store.write(({ db }) => db.deleteFrom('events').where('id', '=', event.id).execute());
    }
  }

  #notifier(transport: Transport, signal: AbortSignal): Notifier {
    if (this.#made?.of !== transport) {
      const options = { publisherId: 'torcello-api', timeoutMs: sendTimeoutMs, signal };
      this.#made = { of: transport, notifier: notifier(transport, options) };
    }
    return this.#made.notifier;
  }
}
