import type { Child } from '../demo/child.ts'
import { Inspected } from './process.ts'

interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[]
  samples: number[]
  timeDeltas: number[]
}

/**
 * Where a gateway's processor time goes while it does some work, by room of the code, largest first.
 * @param gateway started with INSPECTABLE
 * @returns lines to be printed
 */
export async function profileOf(gateway: Child, work: () => Promise<unknown>): Promise<string[]> {
  const inspected = await Inspected.open(gateway)
  await inspected.ask('Profiler.enable')
  await inspected.ask('Profiler.start')
  await work()
  const { profile } = await inspected.ask('Profiler.stop')
  inspected.close()
  return shares(profile as Profile)
}

function shares({ nodes, samples, timeDeltas }: Profile): string[] {
  const groups = new Map(nodes.map(({ id, callFrame }) => [id, groupOf(callFrame)]))
  const spent = new Map<string, number>()
  let busy = 0
  samples.forEach((id, at) => {
    const group = groups.get(id)!
    if (group === 'idle') return
    busy += timeDeltas[at]!
    spent.set(group, (spent.get(group) ?? 0) + timeDeltas[at]!)
  })
  return [...spent]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 12)
    .map(([group, time]) => `${((100 * time) / busy).toFixed(1).padStart(5)} %  ${group}`)
}

function groupOf({ functionName, url }: Profile['nodes'][number]['callFrame']): string {
  if (functionName === '(idle)') return 'idle'
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (functionName === '(program)') return 'event loop and system (outside JavaScript)'
  if (functionName === 'writeBuffer') return 'write(2): sockets and recordings'
  const room = /\/gateway\/src\/(.+)$/.exec(url)?.[1]
  if (room)
    return room
      .split('/')
      .slice(0, room.startsWith('postgres/') ? 2 : 1)
      .join('/')
  if (url.startsWith('node:')) return url.split('/').slice(0, 2).join('/')
  const dependency = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  return dependency ?? `built-in ${functionName || '(anonymous)'}`
}
