import { hash } from 'node:crypto'
import type { Effect } from '@countersign/contract/approval'

/** So many effects of a command are told, of so many characters together. */
const MOST = 12
const LONGEST = 4000
const LONGEST_ID = 1000

/** Commands of the same shape have the same effects; values, and in which order, make none. */
export function shapeKey(effects: readonly Effect[]): string {
  const parts = effects.map(
    ({ action, kind, bounded, resource, functions = [], command }) =>
      `${action} ${kind} ${bounded} ${resource.type} ${resource.id} ${functions.join()} ${command ? JSON.stringify(command) : ''}`,
  )
  const key = parts.length === 1 ? parts[0]! : [...new Set(parts)].sort().join('\n')
  return key.length <= 200 ? key : hash('sha256', key, 'base64')
}

/** In words: `delete public.customers, every row; select public.orders`. */
export function shapeWords(effects: readonly Effect[], connection: string): string {
  const words = effects.map(({ action, kind, bounded, resource, functions = [] }) => {
    const what = resource.type === 'Connection' ? connection : resource.id.slice(connection.length + 1)
    const verb = action.endsWith(`:${kind}`) || kind === '' ? action : `${kind} (${action})`
    const calls = functions.length > 0 ? `, calls ${functions.slice(0, 5).join(', ')}` : ''
    return `${verb} ${what}${bounded ? '' : ', every row'}${calls}`
  })
  const several = [...new Set(words)]
  const told = several.slice(0, MOST).join('; ')
  const all = several.length > MOST ? `${told}; and ${several.length - MOST} more` : told
  return all.length > 1000 ? `${all.slice(0, 1000).toWellFormed()}…` : all
}

/** Effects as they are shown with a change. */
export function effectsOfShape(effects: readonly Effect[]): Effect[] {
  const shown: Effect[] = []
  let length = 0
  for (const { functions, command: _, ...effect } of effects.slice(0, MOST)) {
    // Names are what agents make of them, and thousands of shapes are kept at once.
    const { id } = effect.resource
    const resource =
      id.length > LONGEST_ID
        ? { ...effect.resource, id: `${id.slice(0, LONGEST_ID).toWellFormed()}…` }
        : effect.resource
    const told = { ...effect, resource }
    const one =
      functions && functions.length > 0
        ? { ...told, functions: functions.slice(0, 20).map((name) => name.slice(0, 200).toWellFormed()) }
        : told
    length += JSON.stringify(one).length
    if (shown.length > 0 && length > LONGEST) break
    shown.push(one)
  }
  return shown
}
