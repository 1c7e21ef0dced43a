export { SimulatedClock } from './simulated-clock.js';
export { seededRandom } from './seeded-random.js';
export { pipeNetwork } from './pipe-network.js';
