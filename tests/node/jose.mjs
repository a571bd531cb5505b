// The package jose, wherever it is: the distribution's folder is no place where import looks, NODE_PATH is one for require.
import { createRequire } from 'node:module';

export const jose = createRequire(import.meta.url)('jose');
