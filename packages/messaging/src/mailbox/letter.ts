import type { Delivery, Destination } from '../driver.js';

/** What goes into a mailbox. */
export interface OutgoingLetter {
  /** Chosen by the sender; the same letter put again carries the same id, and its reader drops the double. */
  readonly id: string;
  readonly body: Uint8Array;
  /** Default `application/octet-stream`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Nobody shall read it later than this. Default: it waits as long as its mailbox lives. */
  readonly expiresMs?: number;
  /** Higher comes first, up to the mailbox's `priorityMax`. Default 0. */
  readonly priority?: number;
}

/** What comes out of a mailbox: handed over once, settled by exactly one of the three. */
export interface Letter {
  /** Empty when its sender gave none. */
  readonly id: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Somebody may have seen it before. */
  readonly redelivered: boolean;
  /** Where its sender put it. */
  readonly destination: Destination;
  /** The sender's login, where the broker vouches for it. */
  readonly userId: string | undefined;
  /** Done with it. False: too late, the connection was lost, and it will come again. */
  accept(): boolean;
  /** Give it back, for this or another reader. */
  release(): boolean;
  /** It can never be handled. */
  reject(): boolean;
}

/** The broker's word that a letter is stored. */
export interface Receipt {
  readonly id: string;
  readonly storedAtMs: number;
}

export const defaultContentType = 'application/octet-stream';

export function letterOf(delivery: Delivery): Letter {
  const { message, redelivered, destination } = delivery;
  const { messageId, contentType = defaultContentType, userId } = message.properties;
  return {
    id: messageId ?? headerId(message.headers) ?? '',
    body: message.body,
    contentType,
    headers: message.headers,
    redelivered,
    destination,
    userId,
    accept: () => delivery.accept(),
    release: () => delivery.release(),
    reject: () => delivery.reject(),
  };
}

/** Murano's later messaging wrapper put the id into the headers. */
function headerId(headers: Readonly<Record<string, unknown>>): string | undefined {
  const id = headers['message_id'];
  return typeof id === 'string' ? id : undefined;
}
