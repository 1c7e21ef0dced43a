import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 401, seeds: 50 });
