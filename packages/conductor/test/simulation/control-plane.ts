import {
  type DeploymentModel,
  type Stage,
  agentsExchange,
  decide,
  letterKindHeader,
  resultsMailbox,
} from '@torcello/contracts';
import { type Delivery, type Transport, mailboxes } from '@torcello/messaging';
import type { Clock, Random } from '@torcello/platform';
import { FakeApi } from '../support/fake-api.js';
import type { PlanResult } from './agent.js';
import type { Ledger } from './ledger.js';

export interface ControlPlaneSetting {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly ledger: Ledger;
}

const sweepMs = 5_000;
const lostAnswerRate = 0.02;
const slowRate = 0.02;
const slowMsMax = 60_000;

/** The API's side: truth that survives, hints, an inbox for results, timers; it may be away for a while. */
export class ControlPlane {
  readonly api: FakeApi;
  readonly deployments: string[] = [];
  /** Answers get lost and requests come late as long as this is set. */
  isFaulty = true;
  readonly #setting: ControlPlaneSetting;
  #isUp = true;
  #waiting: (() => void)[] = [];

  constructor(setting: ControlPlaneSetting) {
    this.#setting = setting;
    const { transport, clock, random, ledger } = setting;
    this.api = new FakeApi(transport, clock);
    this.api.before = async (method, { holder, epoch }) => {
      if (this.isFaulty && random.fraction() < slowRate) await this.#pause(random.fraction() * slowMsMax);
      await this.#whenUp();
      ledger.note(`${method} ${JSON.stringify(holder ?? epoch ?? null)}`);
    };
    this.api.after = async (method) => {
      if (!this.isFaulty || random.fraction() >= lostAnswerRate) return;
      ledger.note(`the answer to ${method} is lost`);
      await new Promise(() => undefined);
    };
  }

  async start(): Promise<void> {
    await this.api.start();
    const { transport } = this.#setting;
    const reachedBy = [{ exchange: agentsExchange, routingKey: '*.result' }];
    await mailboxes(transport).open(resultsMailbox, { isRestored: true, reachedBy });
    await transport.consume(
      { queue: resultsMailbox },
      { credit: 20, onDelivery: (delivery) => void this.#take(delivery) },
    );
    this.#sweep();
  }

  accept(model: DeploymentModel, stages: readonly Stage[]): void {
    this.deployments.push(model.deploymentId);
    this.#setting.ledger.note(`accepted ${model.deploymentId}`);
    this.api.accept(model, { type: 'accepted', action: model.action, stages });
    this.hint(model.deploymentId);
  }

  /** Best effort, as the broker may be away: the sweeper hints again. */
  hint(deploymentId: string): void {
    this.api.hint(deploymentId).catch(() => undefined);
    if (this.#setting.random.fraction() < 0.5) this.api.ringDoorbell(deploymentId).catch(() => undefined);
  }

  /** Gone for so long; what is durable stays. */
  async leave(durationMs: number): Promise<void> {
    if (!this.#isUp) return;
    this.#setting.ledger.note('the API is away');
    this.#isUp = false;
    await this.#pause(durationMs);
    this.#isUp = true;
    this.#setting.ledger.note('the API is back');
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #sweep(): void {
    this.#setting.clock.after(sweepMs, () => {
      for (const id of this.#isUp ? this.deployments : []) {
        if (!this.api.isHeld(id) && decide(this.api.state(id)).length > 0) this.hint(id);
      }
      this.#sweep();
    });
  }

  /** A result counts once; its receipt goes out for every copy. */
  async #take(delivery: Delivery): Promise<void> {
    await this.#whenUp();
    const result = JSON.parse(new TextDecoder().decode(delivery.message.body)) as PlanResult & { machineId: string };
    const { deploymentId, planId, outcome, failedStep, machineId } = result;
    const plan = this.api.allPlans(deploymentId).get(planId);
    if (plan !== undefined && !plan.hasEnded) {
      const step = failedStep === undefined ? {} : { failedStep };
      this.api.write(deploymentId, { type: 'planEnded', planId, outcome, ...step });
      this.hint(deploymentId);
    }
    const receipt = new TextEncoder().encode(JSON.stringify({ planId }));
    const headers = { [letterKindHeader]: 'receipt' };
    const mailbox = this.api.mailboxOf(deploymentId, machineId);
    await mailboxes(this.#setting.transport)
      .put(mailbox, { id: `receipt-${planId}`, body: receipt, headers })
      .catch(() => undefined);
    delivery.accept();
  }

  #whenUp(): Promise<void> {
    return this.#isUp ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }

  #pause(durationMs: number): Promise<void> {
    return new Promise((resolve) => this.#setting.clock.after(durationMs, resolve));
  }
}
