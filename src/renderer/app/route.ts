import { useSyncExternalStore } from 'react'

export type Route =
  | { readonly screen: 'queue'; readonly id?: string }
  | { readonly screen: 'sessions'; readonly id?: string }
  | { readonly screen: 'replay'; readonly id: string; readonly t?: number }
  | { readonly screen: 'access'; readonly id?: string }
  | { readonly screen: 'agents'; readonly part?: AgentsPart; readonly id?: string }
  | { readonly screen: 'integrity'; readonly id?: string }
  | { readonly screen: 'settings' }

/** What the Agents screen has beside the agents. Their ids have a #, which none of these has. */
export const agentsParts = ['connections', 'break-glass', 'past'] as const
export type AgentsPart = (typeof agentsParts)[number]

/** A route of a hash or a path such as #/queue/ap_1, /replay/se_1?t=1200. What is unknown is the queue. */
export function parseRoute(text: string): Route {
  const [path = '', query = ''] = text.replace(/^#/, '').split('?', 2)
  const [screen, id, inner] = path.split('/').filter(Boolean).map(decode)
  if (screen === 'replay' && id) {
    const t = Number(new URLSearchParams(query).get('t') ?? Number.NaN)
    return { screen, id, ...(Number.isFinite(t) && t >= 0 ? { t } : {}) }
  }
  if (screen === 'sessions' || screen === 'replay') return { screen: 'sessions', ...(id ? { id } : {}) }
  if (screen === 'access' || screen === 'integrity') return { screen, ...(id ? { id } : {}) }
  if (screen === 'agents') {
    const part = agentsParts.find((each) => each === id)
    const of = part ? inner : id
    return { screen, ...(part ? { part } : {}), ...(of ? { id: of } : {}) }
  }
  if (screen === 'settings') return { screen }
  return { screen: 'queue', ...(screen === 'queue' && id ? { id } : {}) }
}

/** The hash of a route. */
export function hashOf(route: Route): string {
  const id = 'id' in route && route.id ? `/${encodeURIComponent(route.id)}` : ''
  const t = route.screen === 'replay' && route.t !== undefined ? `?t=${Math.round(route.t)}` : ''
  const part = route.screen === 'agents' && route.part ? `/${route.part}` : ''
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
