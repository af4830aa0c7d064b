import type { AgentDay } from '@countersign/contract/access'
import type { TypedUse } from '../../sessions/ledger/used.ts'

const DAY = 86_400_000
/** So many days are looked back on. */
export const LOOKED_BACK = 30
/** An agent is known by so many days on which it did something. */
const KNOWN_DAYS = 5
const MANY_REFUSED = 20
const MANY_COMMANDS = 200

/**
 * Why what an agent does today is unlike what it did on the days before, in words; undefined where it isn't, or where too
 * little is known of it to say.
 * @param days of the last {@link LOOKED_BACK} days, the first one first
 * @param uses of the same days
 */
export function unusualToday(days: readonly AgentDay[], uses: readonly TypedUse[], now: number): string | undefined {
  const day = new Date(now).toISOString().slice(0, 10)
  const today = days.find((one) => one.day === day)
  const before = days.filter((one) => one.day < day)
  if (!today || before.length < KNOWN_DAYS) return undefined
  const usualRefused = median(before.map(({ denied }) => denied))
  if (today.denied >= MANY_REFUSED && today.denied >= 5 * Math.max(usualRefused, 1))
    return `${today.denied} of its commands were refused today, ${usualRefused} on a usual day`
  const usual = median(before.map(total))
  if (total(today) >= MANY_COMMANDS && total(today) >= 10 * Math.max(usual, 1))
    return `it ran ${total(today)} commands today, ${usual} on a usual day`
  const first = new Map<string, string>()
  for (const { connection, firstAt } of uses) {
    const known = first.get(connection)
    if (known === undefined || firstAt < known) first.set(connection, firstAt)
  }
  const since = new Date(now - DAY).toISOString()
  const [fresh] = [...first].filter(([, at]) => at >= since)
  return fresh && first.size > 1 ? `it used ${fresh[0]} for the first time in ${LOOKED_BACK} days` : undefined
}

const total = ({ allowed, held, denied }: AgentDay) => allowed + held + denied

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0
}
