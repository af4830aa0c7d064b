import type { ConnectionRecord, Freeze } from '@countersign/contract/access'
import { Snowflake } from 'lucide-react'
import { useEffect, useMemo } from 'react'
import { freezesOf, isAdmin, useDuty } from '../../app/duty.ts'
import { useKeys } from '../../app/keys.ts'
import { go, hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Chip, EnvironmentTag, foremostTag, Key, Notice } from '../../parts/basics.tsx'
import { Listbox, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { clock, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook } from '../access/grant-facts.tsx'
import { protocolName } from '../queue/words.ts'
import { askToFreeze } from './freeze-actions.ts'
import { Parts, routeOf, Split } from './parts.tsx'

type Row = ListRow & { connection: ConnectionRecord }

/** Connections with what is open on them; freezing one, or everything. */
export function ConnectionsPart({ id }: { id: string | undefined }) {
  const connections = useDuty((known) => known.connections)
  const at = useDuty((known) => known.connectionsAt)
  const admin = useWorld((world) => isAdmin(world.me))
  const live = useWorld((world) => world.link.state === 'live')
  const rows = useMemo(() => rowsOf(connections), [connections])
  const chosen = connections.find(({ name }) => name === id)
  const all = freezesOf(connections).find(({ connection }) => connection === '*')
  const first = rows[0]?.key
  useEffect(() => {
    if (id === undefined && first !== undefined) go(routeOf('connections', first), 'replace')
  }, [id, first])
  const select = (next: string | undefined) => {
    if (next !== undefined) go(routeOf('connections', next), 'replace')
  }
  const toggle = () => {
    if (!chosen || !admin || !live) return false
    askToFreeze({ does: isFrozen(chosen) ? 'unfreeze' : 'freeze', connection: chosen.name })
    return true
  }
  useKeys({
    j: () => select(stepFrom(rows, id, 1)),
    k: () => select(stepFrom(rows, id, -1)),
    arrowdown: () => select(stepFrom(rows, id, 1)),
    arrowup: () => select(stepFrom(rows, id, -1)),
    x: toggle,
  })
  return (
    <Split>
      <section aria-label="Connections" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="connections" />
        <div className="flex min-h-[42px] items-baseline gap-2 px-4 pt-3 pb-1.5">
          <h2 className="text-head font-semibold">Connections</h2>
          <span role="status" className="min-w-0 truncate text-dim">
            {connections.length}
          </span>
        </div>
        {!live ? (
          <p className="mx-3 mb-1.5 rounded-box bg-sunken px-3 py-1.5 text-fine text-dim">
            {at ? `As the gateway told it ${dateAndClock(at, Date.now())}. ` : ''}Nothing can be frozen offline.
          </p>
        ) : null}
        {rows.length > 0 ? (
          <Listbox
            label="Connections"
            rows={rows}
            selected={id}
            onSelect={select}
            render={(row, selected) => <ConnectionRow connection={row.connection} selected={selected} />}
          />
        ) : (
          <Notice title="No connections">
            <p>Your role sees none, or none is configured.</p>
          </Notice>
        )}
        {admin && live && rows.length > 0 ? (
          <div className="border-t border-line p-3">
            <Button
              tone={all ? 'plain' : 'danger'}
              className="w-full"
              onClick={() => askToFreeze({ does: all ? 'unfreeze' : 'freeze', connection: '*' })}
            >
              <Snowflake size={14} aria-hidden />
              {all ? 'Unfreeze everything…' : 'Freeze everything…'}
            </Button>
          </div>
        ) : null}
      </section>
      {chosen ? (
        <ConnectionPage key={chosen.name} connection={chosen} onToggle={toggle} />
      ) : (
        <Notice title={rows.length === 0 ? 'Nothing to show' : 'Choose a connection'}>
          <p>J and K move through the list.</p>
        </Notice>
      )}
    </Split>
  )
}

/** Whether it has a freeze of its own; that of everything is ended for everything. */
const isFrozen = ({ freeze, name }: ConnectionRecord) => freeze?.connection === name

function rowsOf(connections: readonly ConnectionRecord[]): Row[] {
  return [...connections]
    .sort((a, b) => Number(Boolean(b.freeze)) - Number(Boolean(a.freeze)) || (a.name < b.name ? -1 : 1))
    .map((connection) => ({ key: connection.name, height: 57, option: true, connection }))
}

function ConnectionRow({ connection, selected }: { connection: ConnectionRecord; selected: boolean }) {
  const { name, kind, tags, access, mode, openSessions, liveGrants, freeze } = connection
  const tag = foremostTag(tags)
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-3">
        <span className="min-w-0 flex-1 truncate font-mono text-fine">{name}</span>
        {freeze ? (
          <span className="shrink-0 font-semibold text-danger">
            <Snowflake size={12} className="mr-1 inline align-[-1.5px]" aria-hidden />
            frozen
          </span>
        ) : (
          <span className={`shrink-0 ${openSessions > 0 ? 'text-ok' : 'text-dim'}`}>{openSessions} open</span>
        )}
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          {protocolName(kind)} · {access === 'jit' ? 'by grants only' : 'standing'}
          {mode === 'observe' ? ' · only observed' : ''}
          {liveGrants > 0 ? ` · ${liveGrants === 1 ? '1 grant' : `${liveGrants} grants`}` : ''}
        </span>
        {tag ? <EnvironmentTag tag={tag} brief /> : null}
      </div>
    </div>
  )
}

function ConnectionPage({ connection, onToggle }: { connection: ConnectionRecord; onToggle: () => void }) {
  const { name, kind, tags, access, mode, openSessions, liveGrants, freeze } = connection
  const admin = useWorld((world) => isAdmin(world.me))
  const link = useWorld((world) => world.link)
  const own = isFrozen(connection)
  return (
    <article aria-label={`Connection ${name}`} className="flex min-h-0 min-w-0 flex-1 flex-col">
      <div className="page-body overflow-y-auto px-7 pt-4 pb-4 max-lg:px-4">
        <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
          <h2 className="text-title font-semibold">{name}</h2>
          {tags.map((tag) => (
            <EnvironmentTag key={tag} tag={tag} />
          ))}
          {freeze ? <Chip tone="danger">frozen</Chip> : null}
        </div>
        {freeze ? <FreezeFact freeze={freeze} /> : null}
        <dl className={factGrid}>
          <Fact name="Speaks">{protocolName(kind)}</Fact>
          <Fact name="Access">
            {access === 'jit'
              ? 'by grants only: nobody gets in without one'
              : 'standing: policy alone lets agents in, grants add to it'}
          </Fact>
          <Fact name="Policy">
            {mode === 'observe' ? 'only observed: what it would refuse is recorded, and runs' : 'enforced'}
          </Fact>
          <Fact name="Open now">
            <a className={linkLook} href={hashOf({ screen: 'sessions' })}>
              {openSessions === 1 ? '1 session' : `${openSessions} sessions`}
            </a>
            <span className="text-dim"> · </span>
            <a className={linkLook} href={hashOf({ screen: 'access' })}>
              {liveGrants === 1 ? '1 live grant' : `${liveGrants} live grants`}
            </a>
          </Fact>
        </dl>
      </div>
      <section aria-label={`What to do about ${name}`} className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
        <div className="flex min-h-9 flex-wrap items-center gap-2.5">
          {!admin ? (
            <p className="text-dim">Admins freeze and unfreeze; your role looks.</p>
          ) : link.state !== 'live' ? (
            <p className="text-dim">
              Nothing can be frozen or unfrozen offline{'since' in link ? `; no link since ${clock(link.since)}` : ''}.
            </p>
          ) : (
            <>
              <Button tone={own ? 'accent' : 'danger'} onClick={onToggle}>
                {own ? 'Unfreeze…' : 'Freeze…'} <Key>X</Key>
              </Button>
              {freeze?.connection === '*' ? (
                <p className="text-dim">Everything is frozen: it takes sessions again once that is ended, too.</p>
              ) : null}
            </>
          )}
        </div>
      </section>
    </article>
  )
}

function FreezeFact({ freeze }: { freeze: Freeze }) {
  return (
    <p className="mt-2.5 rounded-box bg-danger-pale px-3 py-2 text-danger">
      <b className="font-semibold">{freeze.connection === '*' ? 'Everything is frozen' : 'Frozen'}</b> by{' '}
      <VisibleText>{freeze.by.name}</VisibleText>, since {dateAndClock(freeze.at, Date.now())}:{' '}
      <VisibleText>{freeze.reason}</VisibleText>
    </p>
  )
}
