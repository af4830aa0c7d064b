import type { AgentRecord } from '@countersign/contract/access'
import { changeAgent } from '../../app/agents.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'

/** Disables an agent, or enables it again, with a reason; says what ends with it. */
export function Disable({ agent, onClose }: { agent: AgentRecord; onClose: () => void }) {
  if (agent.state === 'disabled')
    return (
      <Reasoned
        title={
          <>
            Enable <VisibleText>{agent.name}</VisibleText> again?
          </>
        }
        description="It may come again at once with its issuer’s tokens. Grants, gateway tokens and sessions that ended stay ended: it asks for access anew."
        action="Enable"
        doing="Enabling…"
        placeholder="Why it may act again; kept with the record"
        onClose={onClose}
        onReason={async (reason) => {
          void changeAgent(agent.id, 'enable', { disabled: false, reason })
        }}
      />
    )
  const { openSessions, liveGrants } = agent
  return (
    <Reasoned
      title={
        <>
          Disable <VisibleText>{agent.name}</VisibleText>?
        </>
      }
      description="At once, on every protocol, whatever token it has. The agent is told the reason, and the log tells who disabled it."
      action="Disable"
      doing="Disabling…"
      placeholder="Kept with the record, told to the agent"
      danger
      onClose={onClose}
      onReason={async (reason) => {
        void changeAgent(agent.id, 'disable', { disabled: true, reason })
      }}
    >
      <div className="mt-3 rounded-box bg-sunken px-3 py-2">
        <p className="font-semibold">What ends with it:</p>
        <ul className="mt-1 list-disc pl-5">
          <li>
            {openSessions === 0
              ? 'no session is open now; it gets no new ones'
              : `${openSessions === 1 ? '1 open session is' : `${openSessions} open sessions are`} closed within a second`}
          </li>
          <li>its feed is closed, and the API refuses it</li>
          <li>its gateway tokens are revoked, and what people approved for it is cancelled</li>
          <li>
            {liveGrants === 0
              ? 'what access it has asked for is withdrawn'
              : `${liveGrants === 1 ? '1 live grant is' : `${liveGrants} live grants are`} revoked, and what it has asked for is withdrawn`}
            : enabling it gives nothing back
          </li>
        </ul>
      </div>
    </Reasoned>
  )
}
