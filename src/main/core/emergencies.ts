import { randomBytes } from 'node:crypto'
import type { BreakGlass } from '@countersign/contract/access'
import type { Me } from '@countersign/contract/identity'
import type { Settings } from '../../console-api.ts'
import { plainText, quietFor } from './attention.ts'
import type { Clock } from './ports/clock.ts'
import type { Notice, Notifier } from './ports/notifier.ts'

/** Tells everybody with a role, once, that somebody decided alone in an emergency; by the rules of attention.ts. */
export interface Emergencies extends Disposable {
  /** One was told by the feed: used, or reviewed by now. */
  heard(use: BreakGlass): void
  focused(focused: boolean): void
  settings(settings: Settings['notifications']): void
  /** The route that a notification opens; undefined for one that is gone or was never ours. */
  clicked(tag: string): string | undefined
  /** What was told is for nobody else's eyes. */
  forget(): void
}

export function createEmergencies(options: {
  notifier: Notifier
  clock: Clock
  settings: Settings['notifications']
  me(): Me | null
  newTag?: () => string
}): Emergencies {
  const { notifier, clock } = options
  const newTag = options.newTag ?? (() => randomBytes(12).toString('hex'))
  /** Those that are on the screen, and those that wait for quiet hours to end. */
  const shown = new Map<string, { tag: string; use: BreakGlass }>()
  const waiting = new Map<string, BreakGlass>()
  let settings = options.settings
  let looking = false
  let cancelQuiet = () => {}

  function review() {
    cancelQuiet()
    cancelQuiet = () => {}
    if (!settings.enabled || waiting.size === 0) return
    const quiet = quietFor(settings.quietHours, clock.now())
    if (quiet > 0) {
      cancelQuiet = clock.after(quiet, review)
      return
    }
    for (const use of waiting.values()) {
      const tag = newTag()
      shown.set(use.id, { tag, use })
      notifier.show(emergencyNotice(use, tag, settings.content))
    }
    waiting.clear()
  }

  function withdraw(id: string) {
    const entry = shown.get(id)
    if (entry) notifier.withdraw(entry.tag)
    shown.delete(id)
    waiting.delete(id)
  }

  function withdrawAll() {
    cancelQuiet()
    for (const id of [...shown.keys(), ...waiting.keys()]) withdraw(id)
  }

  return {
    heard(use) {
      const me = options.me()
      if (use.review) return withdraw(use.id)
      const mine = me?.kind === 'person' && me.roles.length > 0 && use.person.id !== me.id
      // Who looks at the console sees it there.
      if (!mine || looking || !settings.enabled || shown.has(use.id)) return
      waiting.set(use.id, use)
      review()
    },
    focused(focused) {
      looking = focused
      if (focused) withdrawAll()
    },
    settings(next) {
      settings = next
      if (next.enabled) review()
      else withdrawAll()
    },
    clicked(tag) {
      for (const [id, entry] of shown) {
        if (entry.tag !== tag) continue
        withdraw(id)
        return routeOf(entry.use)
      }
      return undefined
    },
    forget: withdrawAll,
    [Symbol.dispose]: withdrawAll,
  }
}

const routeOf = ({ id }: BreakGlass) => `/agents/break-glass/${encodeURIComponent(id)}`

/** Never the command: who, where and that it is to be reviewed, as far as the person lets notifications tell. */
export function emergencyNotice(use: BreakGlass, tag: string, content: Settings['notifications']['content']): Notice {
  const said = { tag, target: routeOf(use), urgent: true } as const
  if (content === 'nothing') return { ...said, title: 'Break-glass was used', body: 'Open Countersign to see it.' }
  const title = `${plainText(use.person.name, 60)} broke glass on ${plainText(use.connection, 60)}`
  return {
    ...said,
    title,
    body: content === 'name' ? 'One person decided alone. It waits for a review.' : plainText(use.reason, 180),
  }
}
