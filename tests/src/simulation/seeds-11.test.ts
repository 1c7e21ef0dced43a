import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 501, seeds: 50 });
