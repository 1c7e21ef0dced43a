import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 451, seeds: 50 });
