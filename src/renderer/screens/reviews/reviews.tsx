import type { Campaign } from '@countersign/contract/review'
import { useEffect, useMemo, useState } from 'react'
import { useKeys } from '../../app/keys.ts'
import { seesReviews, useItems, usePendingDecisions, useReviews } from '../../app/reviews.ts'
import { go, type Route } from '../../app/route.ts'
import { say, useWorld } from '../../app/store.ts'
import { Notice } from '../../parts/basics.tsx'
import { Split } from '../agents/parts.tsx'
import { BulkDialog } from './bulk-dialog.tsx'
import { CampaignList } from './campaign-list.tsx'
import { CampaignPage } from './campaign-page.tsx'
import { arrangeItems, type ItemFilter, nextUndecided, noFilter, waitsForMe } from './filters.ts'
import { ItemList } from './item-list.tsx'
import { ItemPage } from './item-page.tsx'
import { MakeCampaign } from './make-campaign.tsx'
import { Templates } from './templates.tsx'

/** Access reviews: campaigns, their items one by one, templates of campaigns. */
export function Reviews({ route }: { route: Extract<Route, { screen: 'reviews' }> }) {
  const me = useWorld((world) => world.me)
  const forbidden = useReviews((known) => known.state?.forbidden ?? false)
  if (!seesReviews(me) || forbidden)
    return (
      <Notice title="Reviews are not yours to see" role="status">
        <p>
          Reviewers, auditors and admins see campaigns. Your roles here:{' '}
          {me?.kind === 'person' && me.roles.length > 0 ? me.roles.join(', ') : 'none'}. Ask whoever gives roles at your
          gateway.
        </p>
      </Notice>
    )
  if (route.part === 'templates') return <Templates id={route.id} />
  if (route.id !== undefined) return <Campaigned key={route.id} id={route.id} item={route.item} />
  return <Overview />
}

/** All campaigns, with the one that is chosen beside them. */
function Overview() {
  const campaigns = useReviews((known) => known.campaigns)
  const loading = useReviews((known) => known.state === undefined || known.state.loading)
  const [chosen, setChosen] = useState<string | undefined>(undefined)
  const [making, setMaking] = useState<Campaign | 'new' | undefined>(undefined)
  const first = useMemo(() => foremost([...campaigns.values()]), [campaigns])
  const selected = chosen !== undefined && campaigns.has(chosen) ? chosen : first
  const open = (id: string) => go({ screen: 'reviews', id })
  return (
    <Split>
      <CampaignList selected={selected} onSelect={setChosen} onOpen={open} onMake={() => setMaking('new')} />
      {selected === undefined ? (
        <Notice title={loading ? 'Reading the campaigns…' : 'Access reviews'}>
          <p>Who answers for an agent looks at what it may beside what it did, and says what stays.</p>
        </Notice>
      ) : (
        <CampaignPage
          key={selected}
          campaign={campaigns.get(selected)}
          reading={loading}
          onWork={() => open(selected)}
          onEdit={setMaking}
        />
      )}
      {making ? (
        <MakeCampaign
          campaign={making === 'new' ? undefined : making}
          onClose={() => setMaking(undefined)}
          onMade={setChosen}
        />
      ) : null}
    </Split>
  )
}

/** One campaign: its items, and beside them the campaign as a whole or the item that is chosen. */
function Campaigned({ id, item }: { id: string; item: string | undefined }) {
  const campaign = useReviews((known) => known.campaigns.get(id))
  const loading = useReviews((known) => known.state === undefined || known.state.loading)
  const { items, state, reading, problem } = useItems(id)
  const pending = usePendingDecisions(id)
  const me = useWorld((world) => world.me?.id)
  const [filter, setFilter] = useState<ItemFilter>(noFilter)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const [together, setTogether] = useState(false)
  const [editing, setEditing] = useState<Campaign | undefined>(undefined)
  const arranged = useMemo(() => arrangeItems(items.values(), filter, pending, me), [items, filter, pending, me])
  const select = (next: string) => go({ screen: 'reviews', id, item: next }, item === undefined ? 'push' : 'replace')
  const next = (from: number) => {
    const found = nextUndecided(items.values(), pending, from)
    if (found) select(found.id)
    return found
  }
  // What was decided or is gone is nothing to decide together any more.
  const still = useMemo(
    () => [...chosen].flatMap((each) => items.get(each) ?? []).filter((each) => waitsForMe(each, pending)),
    [chosen, items, pending],
  )
  useEffect(() => {
    if (still.length !== chosen.size) setChosen(new Set(still.map((each) => each.id)))
  }, [still, chosen])
  useKeys({
    n: () => {
      if (!next(item === undefined ? -1 : (items.get(item)?.number ?? -1)))
        say(reading ? 'The items are still being read' : 'Nothing waits for you here')
    },
    enter: () => {
      if (item !== undefined) return false
      if (!next(-1) && arranged.others[0]) select(arranged.others[0].id)
    },
    escape: () => {
      if (chosen.size > 0) setChosen(new Set())
      else if (item !== undefined) go({ screen: 'reviews', id })
      else go({ screen: 'reviews' })
    },
  })
  return (
    <Split>
      <ItemList
        campaign={campaign}
        arranged={arranged}
        all={items.size}
        state={state}
        reading={reading}
        problem={problem}
        pending={pending}
        filter={filter}
        selected={item}
        chosen={chosen}
        onFilter={setFilter}
        onSelect={select}
        onChoose={(each) => {
          const known = items.get(each)
          if (!known || !waitsForMe(known, pending)) return say('Only what waits for you is decided together')
          setChosen((before) => {
            const after = new Set(before)
            if (!after.delete(each)) after.add(each)
            return after
          })
        }}
        onChooseAll={(shown) => {
          const may = shown.filter((each) => {
            const known = items.get(each)
            return known && !known.privileged && waitsForMe(known, pending)
          })
          if (may.length === 0) return say('Nothing here can be decided together')
          setChosen(new Set(may))
          say(`${may.length} chosen`)
        }}
        onClear={() => setChosen(new Set())}
        onTogether={() => setTogether(true)}
      />
      {item === undefined ? (
        <CampaignPage
          campaign={campaign}
          reading={loading}
          onWork={() => {
            const found = next(-1) ?? [...items.values()].sort((a, b) => a.number - b.number)[0]
            if (found) select(found.id)
          }}
          onEdit={setEditing}
        />
      ) : (
        <ItemPage
          campaign={id}
          id={item}
          onBack={() => {
            if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
          }}
          onDecided={() => {
            const here = items.get(item)
            const without = new Map(items)
            without.delete(item)
            const found = nextUndecided(without.values(), pending, here?.number ?? -1)
            if (found) select(found.id)
            else say('That was the last one that waited for you here')
          }}
        />
      )}
      {together ? (
        <BulkDialog
          campaign={id}
          items={still}
          onClose={() => setTogether(false)}
          onDone={() => setChosen(new Set())}
        />
      ) : null}
      {editing ? <MakeCampaign campaign={editing} onClose={() => setEditing(undefined)} onMade={() => {}} /> : null}
    </Split>
  )
}

const order = { active: 0, draft: 1, closed: 2 }
function foremost(campaigns: Campaign[]): string | undefined {
  return campaigns.sort(
    (a, b) => order[a.state] - order[b.state] || (a.dueAt ?? a.createdAt).localeCompare(b.dueAt ?? b.createdAt),
  )[0]?.id
}
