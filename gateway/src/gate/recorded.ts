import type { Effect as EffectRecord } from '@countersign/contract/approval'
import { attributesOf } from '../policy/permitted/resources.ts'
import type { Effect, Resource } from './command.ts'

/**
 * An effect as recordings, approvals and the ledger keep it: all that policy may ask of it, so that another policy can
 * be asked of the same later ({@link effectOf}).
 * @param whole kind of the whole command, for an effect whose context has none
 */
export function effectRecord({ action, resource, command }: Effect, whole: string): EffectRecord {
  const { type, id, attrs } = resource
  const { kind, bounded, functions, ...more } = command
  const sql = isSql(action)
  return {
    action,
    resource: { type, id, ...(attrs && !told(type, id, attrs) && { attrs }) },
    kind: String(kind ?? whole),
    bounded: bounded !== false,
    ...(sql && Array.isArray(functions) && { functions }),
    ...((!sql || Object.keys(more).length > 0) && { command }),
  }
}

/**
 * An effect as it was decided, of its record; undefined where the record is of a form that this version does not know.
 * `complete`: false where it was written by a version that did not keep SQL functions: they count as none.
 */
export function effectOf(record: EffectRecord): { effect: Effect; complete: boolean } | undefined {
  const { action, resource, kind, bounded, functions, command } = record
  if (typeof action !== 'string' || typeof resource?.type !== 'string' || typeof resource.id !== 'string')
    return undefined
  const { type, id } = resource
  const attrs = resource.attrs ?? asObject(attributesOf(type, id))
  const effect: Effect = {
    action,
    resource: { type: type as Resource['type'], id, ...(attrs && { attrs }) },
    command: command ?? { kind, bounded, functions: functions ?? [] },
  }
  return { effect, complete: command !== undefined || functions !== undefined }
}

const isSql = (action: string) => action.startsWith('sql:')

/** Whether the id alone tells the attributes. */
function told(type: string, id: string, attrs: Record<string, string>): boolean {
  const known = asObject(attributesOf(type, id))
  const names = Object.keys(attrs)
  return (
    known !== undefined &&
    names.length === Object.keys(known).length &&
    names.every((name) => known[name] === attrs[name])
  )
}

const asObject = (attrs: ReadonlyMap<string, string> | undefined) => attrs && Object.fromEntries(attrs)
