import type { AgentDay } from '@countersign/contract/access'

const DAY = 86_400_000
const shades = ['bg-line', 'bg-ok/30', 'bg-ok/50', 'bg-ok/75', 'bg-ok']

/** What an agent did, a cell a day: the darker the more; a bar below where something was denied. A summary in words. */
export function HeatStrip({ days, since, now }: { days: readonly AgentDay[]; since: string; now: number }) {
  const { cells, words } = stripOf(days, since, now)
  return (
    <figure>
      <div role="img" aria-label={words} className="flex h-6 gap-px">
        {cells.map(({ day, level, denied, title }) => (
          <span key={day} title={title} className="flex min-w-0 flex-1 flex-col gap-px">
            <span className={`min-h-0 flex-1 rounded-[2px] ${shades[level]}`} />
            <span className={`h-1 rounded-[1px] ${denied ? 'bg-danger' : ''}`} />
          </span>
        ))}
      </div>
      <figcaption className="mt-1 flex justify-between gap-4 text-fine text-dim tabular-nums">
        <span>{since.slice(0, 10)}</span>
        <span className="min-w-0 truncate">{words}</span>
        <span>today</span>
      </figcaption>
    </figure>
  )
}

interface StripDay {
  readonly day: string
  readonly level: number
  readonly denied: boolean
  readonly title: string
}

/** Every day from `since` to now (UTC); levels by the square root of what was done, so that quiet days are seen beside busy ones. */
export function stripOf(days: readonly AgentDay[], since: string, now: number): { cells: StripDay[]; words: string } {
  const known = new Map(days.map((day) => [day.day, day]))
  const count = (day: AgentDay | undefined) => (day ? day.allowed + day.held + day.denied : 0)
  const most = Math.max(1, ...days.map(count))
  const cells: StripDay[] = []
  const from = Date.parse(`${since.slice(0, 10)}T00:00:00Z`)
  for (let at = from; at <= now && cells.length < 400; at += DAY) {
    const day = new Date(at).toISOString().slice(0, 10)
    const one = known.get(day)
    const n = count(one)
    cells.push({
      day,
      level: n === 0 ? 0 : Math.max(1, Math.ceil(Math.sqrt(n / most) * 4)),
      denied: (one?.denied ?? 0) > 0,
      title:
        n === 0
          ? `${day}: nothing`
          : `${day}: ${figure(n)} uses${one!.held ? `, ${one!.held} held` : ''}${one!.denied ? `, ${one!.denied} denied` : ''}`,
    })
  }
  const active = days.filter((day) => count(day) > 0)
  const all = active.reduce((sum, day) => sum + count(day), 0)
  const denials = active.filter(({ denied }) => denied > 0).length
  const words =
    all === 0
      ? `nothing in ${cells.length} days`
      : `${figure(all)} ${all === 1 ? 'use' : 'uses'} on ${active.length} of ${cells.length} days${denials > 0 ? `, denials on ${denials}` : ''}`
  return { cells, words }
}

const figure = (n: number) => n.toLocaleString('en-US')
