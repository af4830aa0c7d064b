import type { Delegation, PersonRecord } from '@countersign/contract/access'
import { useMemo, useState } from 'react'
import { usePeople } from '../../app/agents.ts'
import { useDuty } from '../../app/duty.ts'
import { core, type Me, say, useWorld } from '../../app/store.ts'
import { Button, Chip } from '../../parts/basics.tsx'
import { Chooser } from '../../parts/chooser.tsx'
import { useNow } from '../../parts/clock.ts'
import { Reasoned } from '../../parts/reasoned.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { AgentDialog } from '../agents/edit-agent.tsx'

/** Handing one's duty over while one is away; what is handed to me, and by me. */
export function Away() {
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const delegations = useDuty(({ duty }) => duty.delegations)
  const [making, setMaking] = useState(false)
  const [ending, setEnding] = useState<Delegation | undefined>(undefined)
  const [whole, setWhole] = useState(false)
  if (me?.kind !== 'person' || me.roles.length === 0) return null
  const admin = me.roles.includes('admin')
  const mine = delegations.filter(({ from, to }) => from.id === me.id || to.id === me.id || admin)
  const open = mine.filter(({ state }) => state !== 'ended')
  const shown = whole ? mine : open
  const approver = me.roles.includes('approver')
  return (
    <>
      <div className="flex min-h-14 items-center gap-4 px-4 py-2.5">
        <div className="min-w-0 flex-1">
          <div>While you are away</div>
          <div className="text-fine text-dim">
            {!approver
              ? 'Only who decides can hand that over; you see who decides in whose place.'
              : live
                ? 'Somebody else decides what your groups are asked, until you are back. Both of you may end it.'
                : 'Duty can’t be handed over offline.'}
          </div>
        </div>
        {approver ? (
          <Button disabled={!live} onClick={() => setMaking(true)}>
            Hand over…
          </Button>
        ) : null}
      </div>
      {shown.map((delegation) => (
        <OneDelegation
          key={delegation.id}
          delegation={delegation}
          me={me}
          onEnd={live && delegation.state !== 'ended' ? () => setEnding(delegation) : undefined}
        />
      ))}
      {mine.length > open.length ? (
        <div className="px-4 py-2">
          <button
            type="button"
            className="rounded-tag text-fine font-semibold text-accent hover:underline"
            onClick={() => setWhole((now) => !now)}
          >
            {whole ? 'Only those that are planned or active' : `${mine.length - open.length} that have ended`}
          </button>
        </div>
      ) : null}
      {making ? <HandOver me={me} onClose={() => setMaking(false)} /> : null}
      {ending ? (
        <Reasoned
          title="End this delegation?"
          description={`From now on ${ending.to.name} decides nothing in place of ${ending.from.name} any more.`}
          action="End it"
          doing="Ending…"
          placeholder="I am back"
          onClose={() => setEnding(undefined)}
          onReason={async (reason) => {
            await core().call('endDelegation', { id: ending.id, reason })
            say('The delegation has ended')
          }}
        />
      ) : null}
    </>
  )
}

function OneDelegation(props: { delegation: Delegation; me: Me; onEnd: (() => void) | undefined }) {
  const { delegation, me, onEnd } = props
  const { from, to, groups, since, until, reason, state, ended } = delegation
  const now = useNow()
  const name = (who: Delegation['from']) => (who.id === me.id ? 'you' : who.name)
  return (
    <div className="flex min-h-14 items-center gap-4 px-4 py-2.5">
      <div className="min-w-0 flex-1">
        <div className="break-words">
          <b className="font-semibold">
            <VisibleText>{to.id === me.id ? 'You decide' : `${to.name} decides`}</VisibleText>
          </b>{' '}
          in place of <VisibleText>{name(from)}</VisibleText> for <VisibleText>{groups.join(', ')}</VisibleText>
        </div>
        <div className="text-fine break-words text-dim">
          {dateAndClock(since, now)} until {dateAndClock(until, now)} · <VisibleText>{reason}</VisibleText>
          {ended ? (
            <>
              {' · ended '}
              {dateAndClock(ended.at, now)} by <VisibleText>{ended.by}</VisibleText>
              {ended.reason ? (
                <>
                  : <VisibleText>{ended.reason}</VisibleText>
                </>
              ) : null}
            </>
          ) : null}
        </div>
      </div>
      <Chip tone={state === 'active' ? 'ok' : state === 'planned' ? 'accent' : 'plain'}>{state}</Chip>
      {onEnd ? <Button onClick={onEnd}>End…</Button> : null}
    </div>
  )
}

const DAY = 86_400_000
const field = 'h-9 rounded-box border border-line-strong bg-panel px-3 tabular-nums'

function localTime(at: number): string {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

function HandOver({ me, onClose }: { me: Extract<Me, { kind: 'person' }>; onClose: () => void }) {
  const people = usePeople()
  const [to, setTo] = useState('')
  const [since, setSince] = useState('')
  const [until, setUntil] = useState(() => localTime(Date.now() + 7 * DAY))
  const [groups, setGroups] = useState<readonly string[] | undefined>(undefined)
  const [reason, setReason] = useState('')
  const choices = useMemo(
    () =>
      (people.value?.items ?? [])
        .filter(({ id, left, roles }) => id !== me.id && !left && roles.includes('approver'))
        .map(({ id, name, email, groups: of }: PersonRecord) => ({
          value: id,
          label: name,
          words: `${email ?? ''} ${of.join(' ')}`,
          detail: of.join(', '),
        })),
    [people.value, me.id],
  )
  const from = since === '' ? Date.now() : Date.parse(since)
  const missing = [
    to === '' ? 'to whom' : '',
    Number.isNaN(Date.parse(until)) || Date.parse(until) <= from ? 'an end after its beginning' : '',
    groups?.length === 0 ? 'at least one group' : '',
    reason.trim() === '' ? 'a reason' : '',
  ].filter(Boolean)
  return (
    <AgentDialog
      title="Hand over your duty"
      description="Only what your own groups are asked to decide goes over, for 90 days at most. What your colleague decides says in whose place. Nobody decides what is their own, nor what is yours."
      action="Hand over"
      hint={missing.length > 0 ? `Still missing: ${missing.join(', ')}.` : 'Ready to send.'}
      ready={missing.length === 0}
      onClose={onClose}
      onSend={async () => {
        await core().call('delegate', {
          to,
          until: new Date(until).toISOString(),
          reason: reason.trim(),
          ...(since === '' ? {} : { since: new Date(since).toISOString() }),
          ...(groups ? { groups: [...groups] } : {}),
        })
        say('Your duty is handed over')
        onClose()
      }}
    >
      {people.problem ? (
        <p role="alert" className="rounded-box bg-warn-pale px-3 py-2 text-warn">
          People can’t be listed: {people.problem}
        </p>
      ) : null}
      <Chooser
        autoFocus
        label="To"
        placeholder={people.value ? 'An approver who has signed in before' : 'Reading…'}
        choices={choices}
        value={to}
        onChange={setTo}
      />
      <div className="grid grid-cols-2 gap-4 max-sm:grid-cols-1">
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">
            From <span className="font-normal text-dim">empty: now</span>
          </span>
          <input type="datetime-local" value={since} onChange={(e) => setSince(e.target.value)} className={field} />
        </label>
        <label className="flex flex-col gap-1.5">
          <span className="font-semibold">Until</span>
          <input type="datetime-local" value={until} onChange={(e) => setUntil(e.target.value)} className={field} />
        </label>
      </div>
      <fieldset>
        <legend className="mb-1.5 font-semibold">For</legend>
        <div className="flex flex-col gap-1">
          <label className="flex items-center gap-2">
            <input
              type="radio"
              name="groups"
              checked={groups === undefined}
              onChange={() => setGroups(undefined)}
              className="accent-accent"
            />
            all of your groups that decide anything
          </label>
          <label className="flex items-center gap-2">
            <input
              type="radio"
              name="groups"
              checked={groups !== undefined}
              onChange={() => setGroups([])}
              className="accent-accent"
            />
            only some
          </label>
          {groups ? (
            <div className="flex flex-wrap gap-x-4 gap-y-1 pl-6">
              {me.groups.map((group) => (
                <label key={group} className="flex items-center gap-2">
                  <input
                    type="checkbox"
                    checked={groups.includes(group)}
                    onChange={(event) =>
                      setGroups((now) =>
                        event.target.checked ? [...(now ?? []), group] : (now ?? []).filter((each) => each !== group),
                      )
                    }
                    className="accent-accent"
                  />
                  {group}
                </label>
              ))}
            </div>
          ) : null}
        </div>
      </fieldset>
      <label className="flex flex-col gap-1.5">
        <span className="font-semibold">Reason</span>
        <input
          value={reason}
          onChange={(event) => setReason(event.target.value)}
          maxLength={2000}
          placeholder="On leave; kept with the record"
          className={field}
        />
      </label>
    </AgentDialog>
  )
}
