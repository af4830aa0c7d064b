import type { AgentRecord } from '@countersign/contract/access'
import type { ReactNode } from 'react'
import { forgetAgentDeed, useAgentDeeds } from '../../app/agents.ts'
import { isAdmin } from '../../app/duty.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Key } from '../../parts/basics.tsx'
import { Stages } from '../../parts/stages.tsx'
import { clock } from '../../parts/time.ts'

const names = { change: 'Change', disable: 'Disable', enable: 'Enable' }
const notDone = { change: 'Not changed.', disable: 'Not disabled.', enable: 'Not enabled.' }

/** The foot of an agent: what can be done about it, how far that is, or why nothing can. */
export function AgentBar(props: { agent: AgentRecord; onEdit: () => void; onSwitch: () => void }) {
  const { agent } = props
  const deed = useAgentDeeds(({ deeds }) => deeds.get(agent.id))
  const admin = useWorld((world) => isAdmin(world.me))
  const link = useWorld((world) => world.link)
  const live = link.state === 'live'
  return (
    <section aria-label={`What to do about ${agent.name}`} className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
      {/* As high as its buttons: what stands above never jumps. */}
      <div className="flex min-h-9 flex-wrap items-center gap-2.5">
        {deed?.state === 'refused' ? (
          <div role="alert" className="flex w-full items-start gap-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
            <span className="min-w-0 flex-1 break-words">
              <b className="font-semibold">{notDone[deed.does]}</b> {deed.problem}
            </span>
            <button type="button" className="font-semibold underline" onClick={() => forgetAgentDeed(agent.id)}>
              Understood
            </button>
          </div>
        ) : deed ? (
          <div role="status" className="mr-2 flex flex-wrap items-center gap-x-4 gap-y-1">
            <b className="font-semibold">{names[deed.does]}</b>
            <Stages sent={deed.state === 'sent'} applied={deed.state === 'sent'} />
          </div>
        ) : null}
        {!admin ? (
          <Words>Admins say who answers for an agent, and disable it; your role looks.</Words>
        ) : !live ? (
          <Words>
            Agents can’t be changed offline{'since' in link ? `; there is no link since ${clock(link.since)}` : ''}.
          </Words>
        ) : (
          <>
            <Button tone="accent" onClick={props.onEdit}>
              Edit <Key>E</Key>
            </Button>
            <Button tone={agent.state === 'disabled' ? 'plain' : 'danger'} onClick={props.onSwitch}>
              {agent.state === 'disabled' ? 'Enable' : 'Disable'} <Key>X</Key>
            </Button>
          </>
        )}
      </div>
    </section>
  )
}

function Words({ children }: { children: ReactNode }) {
  return <p className="text-dim">{children}</p>
}
