import { connect, memoryDriver, type Driver } from '@torcello/messaging';
import { silentLogger, systemClock } from '@torcello/platform';
import type { JoinAnswer } from '@torcello/contracts/agent';
import { mkdtemp } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { removeFolder } from '@torcello/test-support';
import { Agent, type AgentOptions } from '../../src/agent.js';
import type { AgentError } from '../../src/errors.js';
import { TestControl } from './control.js';

/** An agent and its control plane over the memory transport, with a folder of their own. */
export class Fixture implements AsyncDisposable {
  readonly folder: string;
  readonly control: TestControl;
  readonly fatal: AgentError[] = [];
  readonly #driver: Driver;
  readonly #agents: Agent[] = [];

  private constructor(folder: string, control: TestControl, driver: Driver) {
    this.folder = folder;
    this.#driver = driver;
    this.control = control;
  }

  /** @param damage - makes the agent's driver worse than the control plane's. */
  static async make(damage: (driver: Driver) => Driver = (driver) => driver): Promise<Fixture> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'torcello-agent-'));
    const driver = memoryDriver();
    return new Fixture(folder, await TestControl.open('memory:', driver), damage(driver));
  }

  get dataFolder(): string {
    return path.join(this.folder, 'data');
  }

  /** A file outside of the agent's reach in which steps write what they did. */
  get ledger(): string {
    return path.join(this.folder, 'ledger');
  }

  application(name: string = ''): string {
    return path.join(this.dataFolder, 'applications', `shop-${'5c'.repeat(16)}`, name);
  }

  makeAgent(identity: Partial<JoinAnswer> = {}, bootId?: string, options: Partial<AgentOptions> = {}): Agent {
    const agent = new Agent({
      dataFolder: this.dataFolder,
      identity: this.control.identity(identity),
      agentVersion: '0.0.0',
      clock: systemClock,
      ...(bootId === undefined ? {} : { bootId }),
      logger: silentLogger,
      nodePath: process.execPath,
      hostEnvironment: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: this.folder, LANG: 'C.UTF-8' },
      connect: (_purpose, signal) => connect('memory:', { drivers: [this.#driver], signal }),
      onFatal: (error) => this.fatal.push(error),
      ...options,
    });
    this.#agents.push(agent);
    return agent;
  }

  async startAgent(
    identity: Partial<JoinAnswer> = {},
    bootId?: string,
    options: Partial<AgentOptions> = {},
  ): Promise<Agent> {
    const agent = this.makeAgent(identity, bootId, options);
    await agent.start();
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#agents) await agent.stop();
    await this.control.close();
    removeFolder(this.folder);
  }
}
