import { declareSeeds } from './declare-seeds.js';

declareSeeds({ first: 851, seeds: 50 });
