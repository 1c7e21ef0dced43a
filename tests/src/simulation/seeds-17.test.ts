import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 801, seeds: 50 });
