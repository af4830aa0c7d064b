import type { AgentRecord } from '@countersign/contract/access'
import { useEffect, useMemo, useState } from 'react'
import { readAgents, useAgents } from '../../app/agents.ts'
import { isAdmin } from '../../app/duty.ts'
import { useKeys } from '../../app/keys.ts'
import { go, type Route } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { AgentList } from './agent-list.tsx'
import { AgentPage } from './agent-page.tsx'
import { BreakGlassPart } from './break-glass.tsx'
import { ConnectionsPart } from './connections.tsx'
import { Disable } from './disable.tsx'
import { DeclareAgent, EditAgent } from './edit-agent.tsx'
import { type AgentFilter, arrangeAgents, noFilter } from './filters.ts'
import { Split } from './parts.tsx'
import { PastPart } from './past.tsx'

/** Who acts here and who answers for it; connections and freezes; emergencies; who could do what at any time. */
export function Agents({ route }: { route: Extract<Route, { screen: 'agents' }> }) {
  if (route.part === 'connections') return <ConnectionsPart id={route.id} />
  if (route.part === 'break-glass') return <BreakGlassPart id={route.id} />
  if (route.part === 'past') return <PastPart />
  return <Registry id={route.id} />
}

/** Every agent identity: seen or declared. */
function Registry({ id }: { id: string | undefined }) {
  const agents = useAgents((known) => known.agents)
  const admin = useWorld((world) => isAdmin(world.me))
  const live = useWorld((world) => world.link.state === 'live')
  const [filter, setFilter] = useState<AgentFilter>(noFilter)
  const [editing, setEditing] = useState<AgentRecord | undefined>(undefined)
  const [switching, setSwitching] = useState<AgentRecord | undefined>(undefined)
  const [declaring, setDeclaring] = useState(false)
  const arranged = useMemo(() => arrangeAgents(agents.values(), filter), [agents, filter])
  const first = (arranged.orphans[0] ?? arranged.answered[0] ?? arranged.disabled[0])?.id
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'agents', id: first }, 'replace')
  }, [id, first])
  // Use and sessions aren't told by the feed: who comes here sees them as they are.
  useEffect(() => readAgents(), [])
  const chosen = id === undefined ? undefined : agents.get(id)
  const may = admin && live
  useKeys({
    e: () => (may && chosen ? setEditing(chosen) : false),
    x: () => (may && chosen ? setSwitching(chosen) : false),
    n: () => (may ? setDeclaring(true) : false),
  })
  return (
    <Split>
      <AgentList
        arranged={arranged}
        filter={filter}
        selected={id}
        mayDeclare={may}
        onFilter={setFilter}
        onSelect={(next) => go({ screen: 'agents', id: next }, 'replace')}
        onDeclare={() => setDeclaring(true)}
      />
      {id === undefined ? (
        <Notice title={agents.size === 0 ? 'No agent was seen yet' : 'Choose an agent'}>
          <p>{agents.size === 0 ? 'Agents appear with their first token.' : 'J and K move through the list.'}</p>
        </Notice>
      ) : (
        <AgentPage key={id} id={id} onEdit={setEditing} onSwitch={setSwitching} />
      )}
      {editing ? <EditAgent agent={editing} onClose={() => setEditing(undefined)} /> : null}
      {switching ? (
        <Disable agent={agents.get(switching.id) ?? switching} onClose={() => setSwitching(undefined)} />
      ) : null}
      {declaring ? (
        <DeclareAgent
          onClose={() => setDeclaring(false)}
          onMade={(made) => go({ screen: 'agents', id: made }, 'replace')}
        />
      ) : null}
    </Split>
  )
}
