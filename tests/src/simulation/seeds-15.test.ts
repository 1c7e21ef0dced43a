import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 701, seeds: 50 });
