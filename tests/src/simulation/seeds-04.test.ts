import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 151, seeds: 50 });
