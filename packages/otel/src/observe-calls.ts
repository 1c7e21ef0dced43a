import { metrics, type Attributes, type Meter } from '@opentelemetry/api';
import {
  diagnosticsChannels,
  isMessagingError,
  type CallEvent,
  type ServedEvent,
  type StateEvent,
} from '@torcello/messaging';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

/**
 * Metrics of calls and casts under the names that oslo.messaging gives them, so that one dashboard shows both kinds of programs, and
 * of connections. Out of the library's events, for every transport of the process; the answer ends it.
 *
 * `rpc_client_invocation_start_total`, `rpc_client_invocation_end_total`, `rpc_client_processing_seconds` and
 * `rpc_client_exception_total` have oslo's labels as attributes: `call_type` (`call` or `cast`), `method`, and what the target
 * names of `exchange`, `topic`, `server`, `namespace`, `version`, `fanout`; the last one `exception` too. The same names with
 * `rpc_server_`, which oslo.messaging only prepares, are for served methods.
 */
export function observeCalls(options: { readonly meter?: Meter } = {}): () => void {
  const meter = options.meter ?? metrics.getMeter('@torcello/messaging');
  const client = callInstruments(meter, 'client');
  const server = callInstruments(meter, 'server');
  const losses = meter.createCounter('torcello.messaging.connection.losses', { unit: '{loss}' });
  const onCall = (event: unknown): void => {
    const { phase, callType, durationMs = 0, error, ...called } = event as CallEvent;
    const labels = { call_type: callType, ...labelsOf(called) };
    if (phase === 'start') return client.start.add(1, labels);
    client.end.add(1, labels);
    client.seconds.record(durationMs / 1_000, labels);
    if (error !== undefined) client.exceptions.add(1, { ...labels, exception: nameOf(error) });
  };
  const onServed = (event: unknown): void => {
    const { method, topic, server: name, durationMs, hasFailed } = event as ServedEvent;
    const labels = labelsOf({ method, topic, server: name });
    server.start.add(1, labels);
    server.end.add(1, labels);
    server.seconds.record(durationMs / 1_000, labels);
    if (hasFailed) server.exceptions.add(1, labels);
  };
  const onState = (event: unknown): void => {
    if ((event as StateEvent).state === 'connecting') losses.add(1);
  };
  subscribe(diagnosticsChannels.call, onCall);
  subscribe(diagnosticsChannels.served, onServed);
  subscribe(diagnosticsChannels.state, onState);
  return () => {
    unsubscribe(diagnosticsChannels.call, onCall);
    unsubscribe(diagnosticsChannels.served, onServed);
    unsubscribe(diagnosticsChannels.state, onState);
  };
}

function callInstruments(meter: Meter, side: 'client' | 'server') {
  return {
    start: meter.createCounter(`rpc_${side}_invocation_start_total`),
    end: meter.createCounter(`rpc_${side}_invocation_end_total`),
    seconds: meter.createHistogram(`rpc_${side}_processing_seconds`, { unit: 's' }),
    exceptions: meter.createCounter(`rpc_${side}_exception_total`),
  };
}

/** What is not said is no label. */
function labelsOf(said: Readonly<Record<string, string | boolean | undefined>>): Attributes {
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

/** The class of a remote error, the code of ours. */
function nameOf(error: unknown): string {
  if (!isMessagingError(error)) return error instanceof Error ? error.name : 'unknown';
  const remote = error.details['class'];
  return typeof remote === 'string' ? remote : error.code;
}
