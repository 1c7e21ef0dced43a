import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 751, seeds: 50 });
