/** Something that a thing can wait for. Text and cure hold `{names}` that the case fills in. */
export interface Cause {
  /** What can wait for it. */
  readonly of: readonly ('deployment' | 'plan' | 'stage' | 'machine' | 'mailbox' | 'environment' | 'message')[];
  readonly text: string;
  /** The command that changes it. */
  readonly cure: string;
  /** What ends the waiting by itself. */
  readonly endsWith: string;
}

/** Every cause by its code. `docs/why.md` holds the same table; a test compares. */
export const causes: Readonly<Record<CauseCode, Cause>> = {
  'queued-no-conductor': {
    of: ['deployment'],
    text: 'no conductor has taken it yet',
    cure: 'torcello up, or start a conductor',
    endsWith: 'a conductor that claims it',
  },
  'queued-broker-unreachable': {
    of: ['deployment', 'plan'],
    text: 'broker unreachable since {since}',
    cure: 'start the broker; GET /healthz shows the link',
    endsWith: 'the return of the broker',
  },
  'outbox-backed-up': {
    of: ['deployment', 'message'],
    text: '{letters} letters wait to be sent to the broker',
    cure: 'see the log of the API and GET /healthz',
    endsWith: 'the relay, which sends them',
  },
  'waiting-for-conductor-takeover': {
    of: ['deployment', 'plan'],
    text: 'it has work to do and nobody holds it; the next conductor takes it over',
    cure: 'torcello up, or start a conductor',
    endsWith: 'a conductor that claims it',
  },
  'conductor-at-work': {
    of: ['deployment', 'plan'],
    text: 'a conductor holds it and decides',
    cure: 'nothing to do; torcello deployment history {deployment}',
    endsWith: 'the decision of the conductor, or the end of its lease',
  },
  'mailbox-not-declared': {
    of: ['plan', 'mailbox', 'machine'],
    text: 'the mailbox of {machine} is not declared at the broker yet',
    cure: 'see whether the broker is up: GET /healthz',
    endsWith: 'the API, which declares it as soon as the broker answers',
  },
  'waiting-machine-never-joined': {
    of: ['plan'],
    text: '{machine} has never joined',
    cure: 'torcello machine join-line {machineId}',
    endsWith: 'an agent that joins as this machine',
  },
  'waiting-machine-offline': {
    of: ['plan', 'machine', 'mailbox'],
    text: 'the agent of {machine} is silent',
    cure: 'start the agent on {machine}',
    endsWith: 'the return of the agent',
  },
  'waiting-delivery': {
    of: ['plan'],
    text: 'the plan lies in the mailbox of {machine}, whose agent is there and has not said yet that it took it',
    cure: 'torcello agent list shows what the agent reports',
    endsWith: 'the agent, which takes it',
  },
  'waiting-handshake-never-joined': {
    of: ['plan'],
    text: '{machine} has never joined; the broker keeps no mailboxes, so the plan waits in the database of the API',
    cure: 'torcello machine join-line {machineId}',
    endsWith: 'an agent that joins as this machine and says that it runs',
  },
  'waiting-handshake-offline': {
    of: ['plan'],
    text: 'the agent of {machine} is silent; the broker keeps no mailboxes, so the plan waits in the database of the API',
    cure: 'start the agent on {machine}',
    endsWith: 'the agent, which says that it runs and is called with the plan',
  },
  'waiting-handshake-call': {
    of: ['plan'],
    text: 'the plan waits in the database of the API, which calls the agent of {machine} with it; it has not said yet that it took it',
    cure: 'torcello agent list shows what the agent reports',
    endsWith: 'the agent, which takes it',
  },
  'waiting-in-line-behind-plan': {
    of: ['plan'],
    text: '{machine} works on the plan {plan} first',
    cure: 'torcello why {plan}',
    endsWith: 'the end of that plan',
  },
  'waiting-to-start': {
    of: ['plan'],
    text: '{machine} has the plan and is about to start it',
    cure: 'nothing to do; torcello agent list',
    endsWith: 'the start of its first step',
  },
  'waiting-stage-needs': {
    of: ['stage', 'deployment'],
    text: 'the stage {stage} needs {needs} first',
    cure: 'torcello deployment show {deployment}',
    endsWith: 'the end of those stages',
  },
  'waiting-batch': {
    of: ['stage', 'deployment'],
    text: 'the batch {stage} comes after the batch {needs}',
    cure: 'torcello deployment show {deployment}',
    endsWith: 'the end of that batch',
  },
  'waiting-gate': {
    of: ['stage', 'deployment'],
    text: 'the batch {stage} comes after the health gate {needs}',
    cure: 'torcello deployment show {deployment}',
    endsWith: 'the end of the gate',
  },
  'stopped-at-failures': {
    of: ['stage', 'deployment'],
    text: 'the stage {stage} never starts: too many machines of {needs} failed',
    cure: 'torcello resume {deployment}',
    endsWith: 'a resume',
  },
  'running-step': {
    of: ['plan', 'deployment', 'machine'],
    text: '{machine} runs the step {step}',
    cure: 'torcello logs {deployment} --machine {machine} --follow',
    endsWith: 'the end of the step',
  },
  'unknown-silent': {
    of: ['plan', 'deployment'],
    text: '{machine} had started and is silent: whether it still works is unknown',
    cure: 'see whether {machine} is up and reaches the broker',
    endsWith: 'the return of the agent, which tells',
  },
  lost: {
    of: ['plan', 'deployment', 'machine'],
    text: '{machine} is silent for so long that it counts as lost',
    cure: 'bring {machine} back, or torcello machine delete {machineId}',
    endsWith: 'the return of the agent, or the end of the machine',
  },
  'cancel-not-sent': {
    of: ['deployment', 'plan'],
    text: 'the cancel waits for a conductor that sends it out',
    cure: 'torcello up, or start a conductor',
    endsWith: 'a conductor that posts the cancel letters',
  },
  'cancel-unsettled': {
    of: ['plan', 'deployment'],
    text: 'the cancel is on its way to {machine}; what it did until then is unknown until it is back',
    cure: 'start the agent on {machine}, or torcello machine delete {machineId}',
    endsWith: 'the answer of the agent',
  },
  'expired-unsettled': {
    of: ['plan', 'deployment'],
    text: 'its time is over, and whether {machine} had taken it before is unknown',
    cure: 'start the agent on {machine}: it says what it did',
    endsWith: 'the answer of the agent, or the end of its mailbox',
  },
  'superseded-unsettled': {
    of: ['plan', 'deployment'],
    text: 'the deployment {by} took over; {machine} drops the plan when it reads it',
    cure: 'torcello why {by}',
    endsWith: 'the answer of the agent',
  },
  'superseded-too-late': {
    of: ['plan', 'deployment'],
    text: 'too late: started on {machine} before the deployment {by} took over',
    cure: 'torcello cancel {deployment}, or wait',
    endsWith: 'the end of the plan',
  },
  rejected: {
    of: ['deployment'],
    text: 'no plan can be made of it: {reason}',
    cure: 'correct the package and torcello resume {deployment} --package NAME@VERSION',
    endsWith: 'a resume',
  },
  poison: {
    of: ['deployment'],
    text: 'it ended {times} conductors within seconds of their claim and is not tried again',
    cure: 'see the logs of the conductors, then torcello resume {deployment}',
    endsWith: 'a resume',
  },
  'environment-busy': {
    of: ['environment'],
    text: 'the deployment {deployment} of {environment} is not finished',
    cure: 'torcello why {deployment}',
    endsWith: 'the end of that deployment',
  },
  'join-token-unused': {
    of: ['machine', 'mailbox'],
    text: 'nobody has joined as {machine} yet',
    cure: 'torcello machine join-line {machineId}',
    endsWith: 'an agent that joins with the line',
  },
  'join-token-contested': {
    of: ['machine'],
    text: 'somebody else came with the join line that the agent of {machine} had used',
    cure: 'torcello machine join-line {machineId}',
    endsWith: 'a new join line',
  },
  'mailbox-closing': {
    of: ['mailbox', 'machine', 'plan'],
    text: 'the mailbox of {machine} ends: what is in it is taken out of the broker',
    cure: 'see whether the broker is up: GET /healthz',
    endsWith: 'the API, which empties it as soon as the broker answers',
  },
  'mailbox-ended': {
    of: ['mailbox', 'machine', 'plan'],
    text: '{machine} has no mailbox any more: {reason}',
    cure: 'torcello machine join-line {machineId} opens a fresh one',
    endsWith: 'a new join line, or the return of the agent that had joined',
  },
  'mailbox-reopening': {
    of: ['mailbox', 'machine', 'plan'],
    text: 'a fresh mailbox of {machine} opens when no letter to the old one can be on its way any more',
    cure: 'nothing to do; torcello mailbox show {mailbox}',
    endsWith: 'the API, which opens it',
  },
  'mailbox-ended-unsettled': {
    of: ['plan', 'deployment'],
    text: 'the mailbox of {machine} has ended, and whether {machine} had taken the plan before is unknown',
    cure: 'start the agent on {machine}: it says what it did; or torcello machine delete {machineId}',
    endsWith: 'the answer of the agent, or the end of the machine',
  },
  'letter-refused': {
    of: ['plan', 'deployment'],
    text: '{machine} threw away a letter that came since this plan was put: {reason}',
    cure: 'torcello mailbox redeliver {mailbox}',
    endsWith: 'the plan, which comes once more',
  },
  'dead-letter': {
    of: ['message'],
    text: 'it could not be handled: {reason}',
    cure: 'torcello deadletter requeue {message}, or torcello deadletter discard {message}',
    endsWith: 'somebody who decides',
  },
  'event-not-sent': {
    of: ['message'],
    text: 'the event {type} waits for the broker',
    cure: 'see whether the broker is up: GET /healthz',
    endsWith: 'the API, which sends it as soon as the broker answers',
  },
  'result-quarantined': {
    of: ['plan', 'deployment'],
    text: 'it is younger than the backup that the database was restored from; a result of it ({outcome}) is kept aside',
    cure: 'torcello quarantine list; deploy again what is missing',
    endsWith: 'torcello quarantine discard',
  },
  'ended-resumable': {
    of: ['deployment'],
    text: 'it waits for nothing: {state}, and the machines that have not succeeded can be done again',
    cure: 'torcello resume {deployment}',
    endsWith: 'nothing',
  },
  'nothing-waits': {
    of: ['deployment', 'plan', 'machine', 'mailbox', 'environment'],
    text: 'it waits for nothing: {state}',
    cure: 'nothing to do',
    endsWith: 'nothing',
  },
};

export type CauseCode =
  | 'queued-no-conductor'
  | 'queued-broker-unreachable'
  | 'outbox-backed-up'
  | 'waiting-for-conductor-takeover'
  | 'conductor-at-work'
  | 'mailbox-not-declared'
  | 'waiting-machine-never-joined'
  | 'waiting-machine-offline'
  | 'waiting-delivery'
  | 'waiting-handshake-never-joined'
  | 'waiting-handshake-offline'
  | 'waiting-handshake-call'
  | 'waiting-in-line-behind-plan'
  | 'waiting-to-start'
  | 'waiting-stage-needs'
  | 'waiting-batch'
  | 'waiting-gate'
  | 'stopped-at-failures'
  | 'running-step'
  | 'unknown-silent'
  | 'lost'
  | 'cancel-not-sent'
  | 'cancel-unsettled'
  | 'expired-unsettled'
  | 'superseded-unsettled'
  | 'superseded-too-late'
  | 'rejected'
  | 'poison'
  | 'environment-busy'
  | 'join-token-unused'
  | 'join-token-contested'
  | 'mailbox-closing'
  | 'mailbox-ended'
  | 'mailbox-reopening'
  | 'mailbox-ended-unsettled'
  | 'letter-refused'
  | 'dead-letter'
  | 'event-not-sent'
  | 'result-quarantined'
  | 'ended-resumable'
  | 'nothing-waits';
