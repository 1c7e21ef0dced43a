import net from 'node:net';

/** A TCP proxy in front of a broker that breaks connections in the ways networks do. */
export class FaultProxy {
  readonly #server: net.Server;
  readonly #pairs = new Set<Pair>();
  #isStalled = false;
  #delayMs = 0;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<FaultProxy> {
    const server = net.createServer();
    const proxy = new FaultProxy(server);
    server.on('connection', (near) => proxy.#accept(near, net.connect({ ...target, noDelay: true })));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Connections that stand. */
  get count(): number {
    return this.#pairs.size;
  }

  /** The same URL through the proxy. */
  url(url: string): string {
    return url.replace(/@127\.0\.0\.1:\d+/, `@127.0.0.1:${this.port}`);
  }

  /** Both sides see the connection break. */
  cut(): void {
    for (const pair of this.#pairs) pair.destroy();
  }

  /** Nothing passes any more and nobody is told: a black hole. Connections made from now on hang as well. */
  stall(): void {
    this.#isStalled = true;
    for (const pair of this.#pairs) pair.stall();
  }

  /** The broker sees the end, the client does not. */
  halfOpen(): void {
    for (const pair of this.#pairs) pair.halfOpen();
  }

  /** What was held back goes on. */
  resume(): void {
    this.#isStalled = false;
    for (const pair of this.#pairs) pair.resume();
  }

  /** Every chunk arrives so much later. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: net.Socket, far: net.Socket): void {
    near.setNoDelay(true);
    const pair = new Pair(near, far, () => this.#delayMs);
    this.#pairs.add(pair);
    pair.onClose(() => this.#pairs.delete(pair));
    if (this.#isStalled) pair.stall();
  }
}

class Pair {
  readonly #near: net.Socket;
  readonly #far: net.Socket;
  #isHalfOpen = false;

  constructor(near: net.Socket, far: net.Socket, delayMs: () => number) {
    this.#near = near;
    this.#far = far;
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (chunk) => {
        const wait = delayMs();
        if (wait === 0) to.write(chunk);
        else setTimeout(() => to.write(chunk), wait);
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        if (!this.#isHalfOpen) to.destroy();
      });
    }
  }

  onClose(listener: () => void): void {
    this.#near.on('close', listener);
  }

  stall(): void {
    this.#near.pause();
    this.#far.pause();
  }

  resume(): void {
    this.#near.resume();
    this.#far.resume();
  }

  halfOpen(): void {
    this.#isHalfOpen = true;
    this.#far.destroy();
  }

  destroy(): void {
    this.#isHalfOpen = false;
    this.#near.destroy();
    this.#far.destroy();
  }
}
