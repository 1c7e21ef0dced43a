import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 901, seeds: 50 });
