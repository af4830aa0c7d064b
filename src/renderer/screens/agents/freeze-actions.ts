import type { ConnectionRecord } from '@countersign/contract/access'
import { create } from 'zustand'
import { freezesOf } from '../../app/duty.ts'

/** Which freeze somebody is about to begin or end; the dialog stands over every screen. */
export const useFreezing = create<{ readonly asked: Freezing | undefined }>()(() => ({ asked: undefined }))

export interface Freezing {
  readonly does: 'freeze' | 'unfreeze'
  /** * is everything. */
  readonly connection: string
}

export const askToFreeze = (asked: Freezing | undefined) => useFreezing.setState({ asked })

/** What the palette offers to who may: freezing each connection and everything, and ending each freeze. */
export function freezeActions(connections: readonly ConnectionRecord[], may: boolean) {
  if (!may) return []
  const frozen = new Set(freezesOf(connections).map(({ connection }) => connection))
  const one = (connection: string) => {
    const does = frozen.has(connection) ? ('unfreeze' as const) : ('freeze' as const)
    const name = connection === '*' ? 'everything' : connection
    return {
      name: `${does === 'freeze' ? 'Freeze' : 'Unfreeze'} ${name}…`,
      words: 'stop emergency end all sessions connection',
      run: () => askToFreeze({ does, connection }),
    }
  }
  return [...connections.map(({ name }) => one(name)), one('*')]
}
