import { join } from 'node:path'
import { defineConfig } from '@playwright/test'
import { chromium, find } from './scripts/system.ts'

// Every journey starts consoles and agents, each a process that would compile the same files anew.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules', '.cache', 'node-compile')

const executablePath = find(chromium)

export default defineConfig({
  testDir: 'e2e',
  outputDir: 'test-results',
  // A journey waits for its clients and servers as often as they compute: two share two cores well.
  workers: 2,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  forbidOnly: Boolean(process.env.CI),
  // A busy runner may starve a browser; what needed a second try is reported as flaky.
  retries: process.env.CI ? 1 : 0,
  reporter: [['list']],
  use: {
    viewport: { width: 1280, height: 800 },
    // A trace costs a tenth of the time: where a second try is made anyway, that one has it.
    trace: process.env.CI ? 'on-first-retry' : 'retain-on-failure',
    launchOptions: {
      // The system's Chromium where there is one: Playwright's own is a download that not every network allows.
      ...(executablePath ? { executablePath } : {}),
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  projects: [
    { name: 'browser', testMatch: '*.e2e.ts', testIgnore: ['**/electron/**', '**/start.e2e.ts'] },
    // The desktop shell: by real Electron where its binary is, else the built main and preload under a double of its API.
    { name: 'electron', testMatch: '**/electron/*.e2e.ts' },
    // `npm start` builds the console anew: nobody else may be loading its pages meanwhile.
    { name: 'start', testMatch: 'start.e2e.ts', dependencies: ['browser', 'electron'] },
  ],
})
