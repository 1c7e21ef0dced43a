import net from 'node:net';
import tls from 'node:tls';
import rhea, { type Connection, type Delivery, type EventContext, type Sender } from 'rhea';

export type Outcome = 'accept' | 'release' | 'reject' | 'modify' | 'hold';
export type EngineMessage = Readonly<Record<string, unknown>>;

export interface PeerScript {
  /** What Open says. */
  readonly properties?: Readonly<Record<string, string>>;
  /** How a message is answered. Default: accepted. */
  readonly outcome?: (address: string, message: EngineMessage) => Outcome;
  /** Addresses that links are refused for, with the condition. */
  readonly refuse?: Readonly<Record<string, string>>;
  readonly login?: { readonly username: string; readonly password: string };
  readonly tls?: tls.TlsOptions;
  readonly maxMessageSize?: number;
}

/** A peer whose every word is the test's. */
export class ScriptedPeer {
  readonly received: { readonly address: string; readonly message: EngineMessage }[] = [];
  /** Outcomes that the driver gave to what was sent to it. */
  readonly outcomes: { readonly name: string; readonly state: EngineMessage }[] = [];
  readonly attached: { readonly role: 'reads' | 'sends'; readonly address: string; readonly isDynamic: boolean }[] = [];
  readonly #script: PeerScript;
  readonly #server: net.Server | tls.Server;
  readonly #sockets = new Set<net.Socket>();
  readonly #readers = new Map<string, Sender>();
  readonly #held: Delivery[] = [];
  #wake: () => void = () => undefined;
  #dynamic = 0;

  static async start(script: PeerScript = {}): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(script);
    await new Promise<void>((resolve) => peer.#server.listen(0, '127.0.0.1', resolve));
    return peer;
  }

  private constructor(script: PeerScript) {
    this.#script = script;
    const container = rhea.create_container({ id: 'scripted' });
    container.on('error', () => undefined);
    const { login } = script;
    if (login !== undefined) {
      const mechanisms = container.sasl_server_mechanisms as {
        enable_plain: (check: (username: string, password: string) => boolean) => void;
      };
      mechanisms.enable_plain((username, password) => username === login.username && password === login.password);
    }
    const accept = (socket: net.Socket): void => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      // The engine only stops its timers when it hears of the end.
      socket.on('close', () => socket.emit('end'));
      const options = {
        receiver_options: { autoaccept: false, credit_window: 100, max_message_size: script.maxMessageSize },
        properties: script.properties ?? {},
        enable_sasl_external: true,
        require_sasl: login !== undefined,
        treat_modified_as_released: false,
      };
      const connection = container.create_connection(options as never);
      this.#listen(connection);
      (connection as unknown as { accept: (socket: net.Socket) => void }).accept(socket);
    };
    this.#server = script.tls === undefined ? net.createServer(accept) : tls.createServer(script.tls, accept);
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get url(): string {
    return `amqp1://127.0.0.1:${this.port}`;
  }

  /** Resolves when the condition holds; it is looked at after everything that happens. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Sends to whoever reads the address. */
  send(address: string, message: EngineMessage): void {
    const reader = this.#readers.get(address);
    if (reader === undefined) throw new Error(`nobody reads ${address}; there are ${[...this.#readers.keys()].join()}`);
    reader.send(message as never);
  }

  credit(address: string): number {
    return (this.#readers.get(address) as unknown as { readonly credit: number } | undefined)?.credit ?? 0;
  }

  /** Ends every reader of the address with a condition. */
  end(address: string, condition: string): void {
    this.#readers.get(address)?.close({ condition, description: 'planned' } as never);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #listen(connection: Connection): void {
    const on = (name: string, action: (context: EventContext) => void): void => {
      connection.on(name as never, (context: EventContext) => {
        action(context);
        this.#wake();
      });
    };
    on('sender_open', ({ sender }) => sender !== undefined && this.#onReader(sender));
    on('receiver_open', ({ receiver }) => {
      const address = String(receiver?.target?.address);
      this.attached.push({ role: 'sends', address, isDynamic: false });
      const condition = this.#script.refuse?.[address];
      if (condition === undefined) receiver?.set_target({ address });
      else receiver?.close({ condition, description: 'planned' } as never);
    });
    // Nothing waits here: whoever drains gets its credit back.
    on('sender_draining', ({ sender }) => sender?.set_drained(true));
    on('message', (context) => this.#onMessage(context));
    for (const name of ['accepted', 'released', 'rejected', 'modified']) {
      on(name, ({ delivery }) => {
        this.outcomes.push({ name, state: (delivery?.remote_state ?? {}) as EngineMessage });
      });
    }
    for (const name of [
      'disconnected',
      'connection_error',
      'connection_close',
      'protocol_error',
      'error',
      'sender_flow',
    ]) {
      on(name, () => undefined);
    }
  }

  #onReader(sender: Sender): void {
    const { source } = sender as unknown as { source: { address?: string; dynamic?: boolean } };
    const isDynamic = source.dynamic === true;
    const address = isDynamic ? `dynamic-${(this.#dynamic += 1)}` : String(source.address);
    this.attached.push({ role: 'reads', address, isDynamic });
    const condition = this.#script.refuse?.[address];
    if (condition !== undefined) return sender.close({ condition, description: 'planned' } as never);
    sender.set_source({ address });
    this.#readers.set(address, sender);
  }

  #onMessage({ message, delivery, receiver }: EventContext): void {
    const address = String(receiver?.target?.address);
    const received = message as unknown as EngineMessage;
    this.received.push({ address, message: received });
    const outcome = this.#script.outcome?.(address, received) ?? 'accept';
    if (outcome === 'accept') delivery?.accept();
    else if (outcome === 'release') delivery?.release();
    else if (outcome === 'reject') delivery?.reject({ condition: 'amqp:internal-error', description: 'planned' });
    else if (outcome === 'modify') delivery?.modified({ delivery_failed: true });
    else if (delivery !== undefined) this.#held.push(delivery);
  }
}
