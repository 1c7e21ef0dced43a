import type { Clock } from '@torcello/platform';
import type { Delivery, Destination, Driver, DriverConnection, IncomingMessage, MessageProperties } from '../driver.js';
import { isMessagingError } from '../errors.js';

/** What went over a driver, in order: plain data. `stringifyRecording` and `parseRecording` keep it in a file. */
export interface Recording {
  readonly format: 'torcello-recording/1';
  readonly wire: 'rabbit' | 'amqp1';
  readonly events: readonly RecordedEvent[];
}

export type RecordedEvent =
  | (RecordedMoment & {
      readonly what: 'published';
      readonly to: Destination;
      readonly message: RecordedMessage;
      /** `confirmed`, or the code of the error. */
      readonly outcome: string;
    })
  | (RecordedMoment & {
      readonly what: 'delivered';
      readonly queue: string;
      /** Names the delivery in the event of its end. */
      readonly delivery: number;
      readonly redelivered: boolean;
      readonly message: RecordedMessage;
    })
  | (RecordedMoment & {
      readonly what: 'settled';
      readonly delivery: number;
      readonly how: 'accept' | 'release' | 'reject';
      readonly isInTime: boolean;
    })
  | (RecordedMoment & { readonly what: 'answered'; readonly message: RecordedMessage });

export interface RecordedMoment {
  /** Milliseconds since the recording began. */
  readonly atMs: number;
}

export interface RecordedMessage {
  readonly body: Uint8Array;
  readonly properties: MessageProperties;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Writes down what goes over drivers. */
export class Recorder {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #events: RecordedEvent[] = [];
  #wire: 'rabbit' | 'amqp1' = 'rabbit';
  #deliveries = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
  }

  /** The same driver, written down. */
  driver(driver: Driver): Driver {
    return {
      schemes: driver.schemes,
      connect: async (url, options) => this.#connection(await driver.connect(url, options)),
    };
  }

  recording(): Recording {
    return { format: 'torcello-recording/1', wire: this.#wire, events: [...this.#events] };
  }

  #connection(inner: DriverConnection): DriverConnection {
    this.#wire = inner.wire ?? 'rabbit';
    return {
      capabilities: inner.capabilities,
      ...(inner.wire === undefined ? {} : { wire: inner.wire }),
      closed: inner.closed,
      get isBlocked() {
        return inner.isBlocked;
      },
      onBlocked: (listener) => inner.onBlocked(listener),
      ensure: (...given) => inner.ensure(...given),
      publish: async (...given) => {
        const [to, message] = given;
        const atMs = this.#nowMs();
        const noted = copyOf(message);
        const note = (outcome: string): void =>
          this.#note({ what: 'published', atMs, to: { ...to }, message: noted, outcome });
        try {
          await inner.publish(...given);
          note('confirmed');
        } catch (error) {
          note(isMessagingError(error) ? error.code : 'error');
          throw error;
        }
      },
      get: async (source) => {
        const delivery = await inner.get(source);
        return delivery === undefined ? undefined : this.#delivery(delivery, source.queue);
      },
      consume: (source, credit, onDelivery) =>
        inner.consume(source, credit, (delivery) => onDelivery(this.#delivery(delivery, source.queue))),
      openReplies: (name, keepMs, onDelivery) =>
        inner.openReplies(name, keepMs, (message) => {
          this.#note({ what: 'answered', atMs: this.#nowMs(), message: copyOf(message) });
          onDelivery(message);
        }),
      inspect: (source) => inner.inspect(source),
      delete: (source) => inner.delete(source),
      close: () => inner.close(),
    };
  }

  #delivery(delivery: Delivery, queue: string): Delivery {
    const number = (this.#deliveries += 1);
    const { redelivered } = delivery;
    const message = copyOf(delivery.message);
    this.#note({ what: 'delivered', atMs: this.#nowMs(), queue, delivery: number, redelivered, message });
    const settle = (how: 'accept' | 'release' | 'reject') => (): boolean => {
      const isInTime = delivery[how]();
      this.#note({ what: 'settled', atMs: this.#nowMs(), delivery: number, how, isInTime });
      return isInTime;
    };
    return { ...delivery, accept: settle('accept'), release: settle('release'), reject: settle('reject') };
  }

  #nowMs(): number {
    return this.#clock.monotonicMs() - this.#startMs;
  }

  /** A publish is written down when its outcome is known, at the place of its beginning. */
  #note(event: RecordedEvent): void {
    const at = this.#events.findLastIndex(({ atMs }) => atMs <= event.atMs);
    this.#events.splice(at + 1, 0, event);
  }
}

/** A line of JSON for each event, bytes as base64. */
export function stringifyRecording({ format, wire, events }: Recording): string {
  const lines = events.map((event) =>
    JSON.stringify('message' in event ? { ...event, message: withText(event.message) } : event, bigAsText),
  );
  return `${[JSON.stringify({ format, wire }), ...lines].join('\n')}\n`;
}

/** @throws SyntaxError for anything else than a recording. */
export function parseRecording(text: string): Recording {
  const [head = '', ...lines] = text.split('\n').filter((line) => line !== '');
  const { format, wire } = JSON.parse(head) as Recording;
  if (format !== 'torcello-recording/1') throw new SyntaxError(`this is no recording: ${head.slice(0, 80)}`);
  const events = lines.map((line) => {
    const event = JSON.parse(line, textAsBig) as RecordedEvent;
    return 'message' in event ? { ...event, message: withBytes(event.message) } : event;
  });
  return { format, wire, events };
}

function copyOf({ body, properties, headers }: IncomingMessage): RecordedMessage {
  return { body: new Uint8Array(body), properties: { ...properties }, headers: structuredClone(headers) };
}

function withText({ body, ...rest }: RecordedMessage): object {
  return { ...rest, body: Buffer.from(body).toString('base64') };
}

function withBytes(message: RecordedMessage): RecordedMessage {
  return { ...message, body: new Uint8Array(Buffer.from(message.body as unknown as string, 'base64')) };
}

function bigAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? { $integer: String(value) } : value;
}

function textAsBig(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { $integer } = value as { readonly $integer?: unknown };
  return typeof $integer === 'string' ? BigInt($integer) : value;
}
