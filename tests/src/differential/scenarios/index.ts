import type { Scenario } from '../scenario.js';
import { declareScenarios } from './declare.js';
import { letterScenarios } from './letters.js';
import { queueScenarios } from './queue.js';
import { quorumScenarios } from './quorum.js';
import { routingScenarios } from './routing.js';

/** Every scenario, in the order in which it is reported. */
export const scenarios: readonly Scenario[] = [
  ...declareScenarios,
  ...routingScenarios,
  ...queueScenarios,
  ...letterScenarios,
  ...quorumScenarios,
];
