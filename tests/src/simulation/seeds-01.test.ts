import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 1, seeds: 50 });
