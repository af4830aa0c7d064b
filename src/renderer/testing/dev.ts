import { type Fixture, type FixtureOptions, fixture } from './fixture.ts'

declare global {
  interface Window {
    /** The double, for tests and for the curious. */
    fixture: Fixture
  }
}

const { repeat, ...query } = Object.fromEntries(new URLSearchParams(location.search))
window.fixture = fixture({ ...(query as FixtureOptions), ...(repeat ? { repeat: Number(repeat) } : {}) })
window.countersign = window.fixture
await import('../main.tsx')
