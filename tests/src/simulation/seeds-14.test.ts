import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 651, seeds: 50 });
