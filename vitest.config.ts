import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Workers, and the gateways that tests start, read what others have compiled: half of what a gateway's start costs.
// Tests alone: who can write to that folder decides what runs.
const cache = join(import.meta.dirname, 'node_modules', '.cache')
process.env.NODE_COMPILE_CACHE ??= join(cache, 'node-compile')
process.env.COUNTERSIGN_TEST_KEYS ??= join(cache, 'countersign-keys')

export default defineConfig({
  test: {
    include: [
      'contract/**/*.test.ts',
      'gateway/**/*.test.ts',
      'cli/**/*.test.ts',
      'src/**/*.test.{ts,tsx}',
      'demo/**/*.test.ts',
      'scripts/**/*.test.ts',
    ],
    pool: 'forks',
    // Cedar and PostgreSQL's grammar are WebAssembly: a process that lives for one file hardly gets back what optimising
    // costs.
    execArgv: ['--wasm-tiering-budget=200000000'],
    // Of the time of a test a third is waiting, for children and servers: one more than two cores could compute for.
    maxWorkers: 3,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A second is the default: on a busy machine a page or a server needs longer now and then.
    expect: { poll: { timeout: 15_000 } },
    // As end-to-end tests have it: what needed a second try on a busy runner is reported as such ("retry x1").
    retry: process.env.CI ? 1 : 0,
  },
})
