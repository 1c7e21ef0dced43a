import { channel, type Channel } from 'node:diagnostics_channel';

/**
 * Events of the library on `node:diagnostics_channel`, for tracing and metrics without a dependency. Names are stable; new
 * fields may come. A subscriber that throws is reported by Node and disturbs nobody here.
 *
 * - `torcello.messaging.call` (`CallEvent`): a call or a cast begins, and ends with or without an error.
 * - `torcello.messaging.served` (`ServedEvent`): a server ran a method.
 * - `torcello.messaging.notified` (`NotifiedEvent`): a listener handled a notification.
 * - `torcello.messaging.state` (`StateEvent`): a transport's connection changed.
 */
export const diagnosticsChannels = {
  call: 'torcello.messaging.call',
  served: 'torcello.messaging.served',
  notified: 'torcello.messaging.notified',
  state: 'torcello.messaging.state',
} as const;

export interface CallEvent {
  readonly phase: 'start' | 'end';
  /** A cast ends with the broker's confirm. */
  readonly callType: 'call' | 'cast';
  readonly method: string;
  readonly exchange: string | undefined;
  readonly topic: string | undefined;
  readonly server: string | undefined;
  readonly namespace: string | undefined;
  readonly version: string | undefined;
  readonly fanout: boolean | undefined;
  /** With `end`. */
  readonly durationMs?: number;
  /** With the `end` of what failed. A cast that nobody had to take, and nobody took, has not. */
  readonly error?: unknown;
}

export interface ServedEvent {
  readonly method: string;
  readonly topic: string | undefined;
  readonly server: string | undefined;
  readonly isCast: boolean;
  readonly durationMs: number;
  readonly hasFailed: boolean;
  readonly traceparent: string | undefined;
}

export interface NotifiedEvent {
  readonly eventType: string;
  readonly priority: string;
  readonly durationMs: number;
  readonly outcome: 'handled' | 'requeue';
}

export interface StateEvent {
  readonly state: string;
}

/** One event goes out, if anybody listens; `make` is not called otherwise. */
function emit<T extends object>(to: Channel, make: () => T): void {
  if (to.hasSubscribers) to.publish(make());
}

const channels = {
  call: channel(diagnosticsChannels.call),
  served: channel(diagnosticsChannels.served),
  notified: channel(diagnosticsChannels.notified),
  state: channel(diagnosticsChannels.state),
};

export const diagnostics = {
  call: (make: () => CallEvent): void => emit(channels.call, make),
  served: (make: () => ServedEvent): void => emit(channels.served, make),
  notified: (make: () => NotifiedEvent): void => emit(channels.notified, make),
  state: (make: () => StateEvent): void => emit(channels.state, make),
} as const;
