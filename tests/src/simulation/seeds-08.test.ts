import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 351, seeds: 50 });
