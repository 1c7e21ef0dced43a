import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 601, seeds: 50 });
