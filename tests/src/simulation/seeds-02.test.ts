import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 51, seeds: 50 });
