import type { LegalHold, NewLegalHold } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { RadioGroup } from 'radix-ui'
import { type ReactNode, useState } from 'react'
import { core, say } from '../../app/store.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'

type Scope = 'session' | 'connection' | 'agent'

/** Holds a session, or all of its connection or agent, with a reason. */
export function PlaceHold(props: { session: Session; onClose: () => void; onDone: () => void }) {
  const { id, connection, agent, identity } = props.session
  const [scope, setScope] = useState<Scope>('session')
  const asked = (reason: string): NewLegalHold => ({
    reason,
    sessions: scope === 'session' ? [id] : [],
    connections: scope === 'connection' ? [connection] : [],
    agents: scope === 'agent' ? [agent] : [],
  })
  const choices: [Scope, ReactNode][] = [
    ['session', 'This session'],
    ['connection', <>All sessions on {connection}, those to come too</>],
    [
      'agent',
      <>
        All sessions of <VisibleText>{identity.name}</VisibleText>, those to come too
      </>,
    ],
  ]
  return (
    <Reasoned
      title="Place a legal hold?"
      description="What it names is kept, whatever the rules say, until the hold is lifted. The log tells who placed it, and why."
      action="Place legal hold"
      doing="Placing…"
      placeholder="Kept with the hold, for example the name of the case"
      onClose={props.onClose}
      onReason={async (reason) => {
        await core().call('placeLegalHold', asked(reason))
        say('Held')
        props.onDone()
      }}
    >
      <RadioGroup.Root
        value={scope}
        onValueChange={(next) => setScope(next as Scope)}
        aria-label="What is held"
        className="mt-4 flex flex-col gap-1.5"
      >
        {choices.map(([value, label]) => (
          <RadioGroup.Item
            key={value}
            value={value}
            className="flex min-h-9 items-center gap-2.5 rounded-box border border-line px-3 py-1.5 text-left data-[state=checked]:border-accent data-[state=checked]:bg-accent-pale"
          >
            <span
              className="grid size-3.5 shrink-0 place-items-center rounded-full border border-line-strong"
              aria-hidden="true"
            >
              <RadioGroup.Indicator className="size-1.5 rounded-full bg-accent" />
            </span>
            <span className="min-w-0 break-words">{label}</span>
          </RadioGroup.Item>
        ))}
      </RadioGroup.Root>
    </Reasoned>
  )
}

/** Lifts a hold, with a reason. */
export function LiftHold(props: { hold: LegalHold; onClose: () => void; onDone: () => void }) {
  const { hold } = props
  return (
    <Reasoned
      title="Lift this legal hold?"
      description="What no other hold keeps, and whose time is over, is erased with the next run, within the hour. The log tells who lifted it, and why."
      action="Lift legal hold"
      doing="Lifting…"
      placeholder="Kept with the hold"
      danger
      onClose={props.onClose}
      onReason={async (reason) => {
        await core().call('liftLegalHold', { id: hold.id, reason })
        say('Lifted')
        props.onDone()
      }}
    >
      <p className="mt-3 rounded-box bg-sunken px-3 py-2 break-words">
        <q>
          <VisibleText>{hold.reason}</VisibleText>
        </q>
        <span className="text-dim">
          {' '}
          by <VisibleText>{hold.by.name}</VisibleText>
        </span>
      </p>
    </Reasoned>
  )
}
