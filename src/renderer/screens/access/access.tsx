import type { Grant } from '@countersign/contract/access'
import { useEffect, useMemo, useState } from 'react'
import { useAccess } from '../../app/access.ts'
import { useKeys } from '../../app/keys.ts'
import { go } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { Ask } from './ask.tsx'
import { Extend } from './extend.tsx'
import { arrangeGrants, fitting, type GrantFilter, noFilter, type Sort, settled } from './filters.ts'
import { GrantList } from './grant-list.tsx'
import { GrantPage } from './grant-page.tsx'
import { Revoke } from './revoke.tsx'
import { Timeline } from './timeline.tsx'
import { mayDo } from './words.ts'

/** The access record: every grant, to whom, for what, how long, by whose approval, with which sessions. */
export function Access({ id }: { id: string | undefined }) {
  const grants = useAccess((known) => known.grants)
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const [filter, setFilter] = useState<GrantFilter>(noFilter)
  const [sort, setSort] = useState<Sort>('end')
  const [asking, setAsking] = useState(false)
  const [extending, setExtending] = useState<Grant | undefined>(undefined)
  const [revoking, setRevoking] = useState<Grant | undefined>(undefined)
  const arranged = useMemo(() => arrangeGrants(grants.values(), filter, sort), [grants, filter, sort])
  const { text, state, agent, connection } = filter
  // The picture has all moments.
  const pictured = useMemo(
    () => [...grants.values()].filter(fitting({ text, state, agent, connection, at: undefined })),
    [grants, text, state, agent, connection],
  )
  const first = (arranged.requested[0] ?? arranged.active[0] ?? arranged.ended[0])?.id
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'access', id: first }, 'replace')
  }, [id, first])

  const chosen = id === undefined ? undefined : grants.get(id)
  const may = chosen && live ? mayDo(chosen, me) : { extend: false, revoke: false }
  const mayAsk = live && me?.kind === 'person' && me.roles.length > 0
  useKeys({
    n: () => (mayAsk ? setAsking(true) : false),
    e: () => (may.extend ? setExtending(chosen) : false),
    x: () => (may.revoke ? setRevoking(chosen) : false),
  })
  return (
    <div className="grid h-full grid-cols-[372px_minmax(0,1fr)] max-lg:grid-cols-[288px_minmax(0,1fr)]">
      <GrantList
        arranged={arranged}
        filter={filter}
        sort={sort}
        selected={id}
        mayAsk={mayAsk}
        onFilter={setFilter}
        onSort={setSort}
        onSelect={(next) => go({ screen: 'access', id: next }, 'replace')}
        onOpen={() => {}}
        onAsk={() => setAsking(true)}
      />
      <div className="flex min-h-0 min-w-0 flex-col">
        <Timeline
          grants={pictured}
          by={agent === '' ? 'agent' : 'connection'}
          chosen={chosen}
          at={filter.at}
          onMoment={(at) => setFilter((now) => settled({ ...now, at }))}
        />
        {id === undefined ? (
          <Notice title={grants.size === 0 ? 'Nobody has access by a grant' : 'Choose a grant'}>
            <p>
              {grants.size === 0
                ? 'Grants are access for a task and a time: asked for, decided, used, over.'
                : 'J and K move through the list.'}
            </p>
          </Notice>
        ) : (
          <GrantPage key={id} id={id} onExtend={setExtending} onRevoke={setRevoking} />
        )}
      </div>
      {asking ? (
        <Ask onClose={() => setAsking(false)} onMade={(made) => go({ screen: 'access', id: made }, 'replace')} />
      ) : null}
      {extending ? <Extend grant={extending} onClose={() => setExtending(undefined)} /> : null}
      {revoking ? <Revoke grant={grants.get(revoking.id) ?? revoking} onClose={() => setRevoking(undefined)} /> : null}
    </div>
  )
}
