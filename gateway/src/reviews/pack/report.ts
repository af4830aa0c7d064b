import type { PackMade, PackPolicy } from './bundle.ts'
import type { PackReading, PackSummary } from './read.ts'

export interface ReportParts {
  summary: PackSummary
  policies: readonly PackPolicy[]
  made: PackMade
  /** The signed checkpoint that the pack is proven against. */
  checkpoint: string
}

/** The report of a campaign: one HTML file without scripts, to be read and printed. */
export async function* reportOf(reading: PackReading, parts: ReportParts): AsyncGenerator<string> {
  yield `<!doctype html>${reading.facts.campaign}${parts.checkpoint.length}`
}
