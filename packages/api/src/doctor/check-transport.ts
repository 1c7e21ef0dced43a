import type { CarrierKind } from '@torcello/contracts';
import { describeTransportUrl, isMessagingError, missingForMailboxes, parseTransportUrl } from '@torcello/messaging';
import type { Capabilities, Transport } from '@torcello/messaging';

/** What is found by connecting to a broker once. */
export type TransportCheck =
  | {
      readonly reached: true;
      /** Without login. */
      readonly url: string;
      readonly capabilities: Capabilities;
      readonly carrier: CarrierKind;
      readonly missing: readonly string[];
    }
  | { readonly reached: false; readonly url: string; readonly code: string; readonly text: string };

/** Connects, looks at what the transport can do, and goes again. Never rejects for what the broker does. */
export async function checkTransport(
  url: string,
  connect: (signal: AbortSignal) => Promise<Transport>,
): Promise<TransportCheck> {
  let name = '';
  try {
    name = describeTransportUrl(parseTransportUrl(url));
    const transport = await connect(AbortSignal.timeout(checkMs));
    try {
      const { capabilities } = transport;
      const missing = missingForMailboxes(capabilities);
      const carrier = missing.length === 0 ? 'mailboxes' : 'handshake';
      return { reached: true, url: name, capabilities, carrier, missing };
    } finally {
      await transport.close();
    }
  } catch (error) {
    if (!isMessagingError(error)) throw error;
    return { reached: false, url: name, code: error.code, text: error.message };
  }
}

const checkMs = 8_000;
