import { defineConfig } from 'vitest/config'

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
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // As end-to-end tests have it: what needed a second try on a busy runner is reported as such ("retry x1").
    retry: process.env.CI ? 1 : 0,
  },
})
