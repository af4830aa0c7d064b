import { useSyncExternalStore } from 'react'

export type Route =
  | { readonly screen: 'queue'; readonly id?: string }
  | { readonly screen: 'sessions'; readonly id?: string }
  | { readonly screen: 'replay'; readonly id: string; readonly t?: number; readonly at?: string }
  | { readonly screen: 'access'; readonly id?: string }
  | { readonly screen: 'agents'; readonly part?: AgentsPart; readonly id?: string }
  | { readonly screen: 'policy'; readonly part?: PolicyScreenPart; readonly id?: string }
  | { readonly screen: 'reviews'; readonly part?: 'templates'; readonly id?: string; readonly item?: string }
  | { readonly screen: 'integrity'; readonly id?: string }
  | { readonly screen: 'settings' }

/** What the Agents screen has beside the agents. Their ids have a #, which none of these has. */
export const agentsParts = ['connections', 'break-glass', 'past'] as const
export type AgentsPart = (typeof agentsParts)[number]

/** What the Policy screen has. Its ids may be anything, so that the part always stands before one. */
export const policyParts = ['in-force', 'history', 'drafts', 'backtests', 'overlays'] as const
export type PolicyScreenPart = (typeof policyParts)[number]

/** A route of a hash or a path such as #/queue/ap_1, /replay/se_1?t=1200. What is unknown is the queue. */
export function parseRoute(text: string): Route {
  const [path = '', query = ''] = text.replace(/^#/, '').split('?', 2)
  const [screen, id, inner] = path.split('/').filter(Boolean).map(decode)
  if (screen === 'replay' && id) {
    const asked = new URLSearchParams(query)
    const t = Number(asked.get('t') ?? Number.NaN)
    const at = asked.get('at') ?? ''
    return {
      ...{ screen, id },
      ...(Number.isFinite(t) && t >= 0 ? { t } : {}),
      ...(Number.isFinite(Date.parse(at)) ? { at } : {}),
    }
  }
  if (screen === 'sessions' || screen === 'replay') return { screen: 'sessions', ...(id ? { id } : {}) }
  if (screen === 'access' || screen === 'integrity') return { screen, ...(id ? { id } : {}) }
  if (screen === 'agents') {
    const part = agentsParts.find((each) => each === id)
    const of = part ? inner : id
    return { screen, ...(part ? { part } : {}), ...(of ? { id: of } : {}) }
  }
  if (screen === 'policy') {
    const part = policyParts.find((each) => each === id)
    return { screen, ...(part ? { part } : {}), ...(part && inner ? { id: inner } : {}) }
  }
  if (screen === 'reviews') {
    if (id === 'templates') return { screen, part: id, ...(inner ? { id: inner } : {}) }
    return { screen, ...(id ? { id } : {}), ...(id && inner ? { item: inner } : {}) }
  }
  if (screen === 'settings') return { screen }
  return { screen: 'queue', ...(screen === 'queue' && id ? { id } : {}) }
}

/** The hash of a route. */
export function hashOf(route: Route): string {
  const id = 'id' in route && route.id ? `/${encodeURIComponent(route.id)}` : ''
  const t =
    route.screen !== 'replay'
      ? ''
      : route.t !== undefined
        ? `?t=${Math.round(route.t)}`
        : route.at
          ? `?at=${encodeURIComponent(route.at)}`
          : ''
  const inPolicy = route.screen === 'policy' ? (route.part ?? (route.id ? 'in-force' : undefined)) : undefined
  const inAgents = route.screen === 'agents' ? route.part : undefined
  const part = (inPolicy ?? inAgents) ? `/${inPolicy ?? inAgents}` : ''
  if (route.screen === 'reviews') {
    const item = id && route.item && !route.part ? `/${encodeURIComponent(route.item)}` : ''
    return `#/reviews${route.part ? `/${route.part}` : ''}${id}${item}`
  }
  return `#/${route.screen}${part}${id}${t}`
}

/** Goes to a route; `replace` leaves no step behind for Back (selections, the play head). */
export function go(route: Route, how: 'push' | 'replace' = 'push') {
  const hash = hashOf(route)
  if (location.hash === hash) return
  if (how === 'push') location.hash = hash
  else {
    history.replaceState(null, '', hash)
    window.dispatchEvent(new HashChangeEvent('hashchange'))
  }
}

let known: { hash: string; route: Route } | undefined

function current(): Route {
  if (known?.hash !== location.hash) known = { hash: location.hash, route: parseRoute(location.hash) }
  return known.route
}

function subscribe(listener: () => void): () => void {
  window.addEventListener('hashchange', listener)
  return () => window.removeEventListener('hashchange', listener)
}

/** Where the person is. */
export function useRoute(): Route {
  return useSyncExternalStore(subscribe, current)
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
