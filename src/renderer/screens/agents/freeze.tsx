import { useState } from 'react'
import { useDuty } from '../../app/duty.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { askToFreeze, useFreezing } from './freeze-actions.ts'

const WORD = 'everything'

/** Freezing and unfreezing, over whatever screen it was asked on: deliberate, with a reason; everything by its name. */
export function FreezeDialogs() {
  const asked = useFreezing((state) => state.asked)
  if (!asked) return null
  const close = () => askToFreeze(undefined)
  return asked.does === 'freeze' ? (
    <FreezeDialog key={asked.connection} connection={asked.connection} onClose={close} />
  ) : (
    <UnfreezeDialog key={asked.connection} connection={asked.connection} onClose={close} />
  )
}

function FreezeDialog({ connection, onClose }: { connection: string; onClose: () => void }) {
  const all = connection === '*'
  const connections = useDuty((known) => known.connections)
  const sessions = useWorld((world) => world.sessions)
  const [typed, setTyped] = useState('')
  const told = connections
    .filter(({ name }) => all || name === connection)
    .reduce((sum, { openSessions }) => sum + openSessions, 0)
  const seen = [...sessions.values()].filter(
    (session) => session.state === 'open' && (all || session.connection === connection),
  ).length
  const open = Math.max(told, seen)
  return (
    <Reasoned
      title={all ? 'Freeze everything?' : `Freeze ${connection}?`}
      description={`${all ? 'Every session on every connection ends' : 'Its sessions end'} within a second, whoever they are of, and none begin until an admin unfreezes it. It stands on every screen, and in the log, who froze it and why.`}
      action={all ? 'Freeze everything' : `Freeze ${connection}`}
      doing="Freezing…"
      placeholder="Told to every agent that comes, and to everybody here"
      danger
      ready={!all || typed.trim() === WORD}
      onClose={onClose}
      onReason={async (reason) => {
        await core().call('freeze', { connection, reason })
        say(all ? 'Everything is frozen' : `${connection} is frozen`)
      }}
    >
      <p className="mt-3 rounded-box bg-sunken px-3 py-2">
        {open === 0
          ? 'No session is open on it now.'
          : `${open === 1 ? '1 open session ends' : `${open} open sessions end`}.`}{' '}
        {all
          ? `${connections.length === 1 ? '1 connection' : `${connections.length} connections`}: ${connections.map(({ name }) => name).join(', ')}.`
          : ''}
      </p>
      {all ? (
        <label className="mt-4 flex flex-col gap-1.5">
          <span className="font-semibold">
            Type <code className="rounded-tag bg-sunken px-1">{WORD}</code> to confirm
          </span>
          <input
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
            autoComplete="off"
            spellCheck={false}
            className="h-9 rounded-box border border-line-strong bg-panel px-3 font-mono"
          />
        </label>
      ) : null}
    </Reasoned>
  )
}

function UnfreezeDialog({ connection, onClose }: { connection: string; onClose: () => void }) {
  const all = connection === '*'
  return (
    <Reasoned
      title={all ? 'Unfreeze everything?' : `Unfreeze ${connection}?`}
      description={
        all
          ? 'Sessions may begin again. Connections that were frozen on their own stay frozen.'
          : 'Sessions may begin again, by policy and grants as before. What was ended stays ended.'
      }
      action={all ? 'Unfreeze everything' : `Unfreeze ${connection}`}
      doing="Unfreezing…"
      placeholder="Why it is safe again; kept with the record"
      onClose={onClose}
      onReason={async (reason) => {
        await core().call('unfreeze', { connection, reason })
        say(all ? 'Everything is unfrozen' : `${connection} is unfrozen`)
      }}
    />
  )
}
