import { type Comparison, text } from './comparison.ts'
import { asValue, fromJson } from './said.ts'

/** Backtests: who ran which version over which time. What they found is evidence of nothing, and in no entry. */
export const backtests: Comparison = {
  table: 'backtests',
  what: 'backtest',
  sql: 'select id, by, at, asked, version from backtests',
  row({ id, by, at, asked, version }) {
    let window: { from?: unknown; to?: unknown }
    try {
      window = Object(JSON.parse(text(asked)))
    } catch {
      window = {}
    }
    return {
      key: text(id),
      columns: {
        ...{ by: fromJson(by), at: text(at), version: text(version) },
        ...{ since: text(window.from), until: text(window.to) },
      },
    }
  },
  types: ['backtest.run'],
  says({ at, payload }) {
    const { backtest, by, version, since, until } = payload
    return {
      key: text(backtest),
      columns: { by: asValue(by), at, version: text(version), since: text(since), until: text(until) },
    }
  },
  // Only the newest are kept.
  forgotten: () => true,
}
