import { Plus } from 'lucide-react'
import { useEffect, useMemo, useRef } from 'react'
import type { BacktestHead } from '../../../policy-api.ts'
import { useKeys } from '../../app/keys.ts'
import { mayBacktest, usePolicy } from '../../app/policy.ts'
import { go } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { Listbox, type ListboxHandle, type ListRow, stepFrom } from '../../parts/listbox.tsx'
import { shortWhen } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Split } from '../agents/parts.tsx'
import { BacktestMark, partOf } from './backtest-mark.tsx'
import { BacktestPage } from './backtest-page.tsx'
import { NewBacktest } from './new-backtest.tsx'
import { Freshness, figure, ListHead, many, Parts, Refused } from './parts.tsx'

type Row = ListRow & { backtest: BacktestHead }

/** Drafts that were run over what was recorded: what each would have changed. */
export function BacktestsPart({ id }: { id: string | undefined }) {
  const backtests = usePolicy(({ view }) => view?.backtests) ?? none
  const state = usePolicy(({ view }) => view?.parts.backtests)
  const loading = usePolicy(({ view }) => view?.loading === true)
  const may = useWorld((world) => mayBacktest(world.me))
  const rows = useMemo<Row[]>(
    () => backtests.map((backtest) => ({ key: backtest.id, height: 57, option: true, backtest })),
    [backtests],
  )
  const list = useRef<ListboxHandle>(null)
  const making = id === 'new' || id?.startsWith('new ') === true
  const select = (next: string | undefined) => {
    if (next !== undefined) go({ screen: 'policy', part: 'backtests', id: next }, 'replace')
  }
  const first = backtests[0]?.id
  useEffect(() => {
    if (id === undefined && first !== undefined) go({ screen: 'policy', part: 'backtests', id: first }, 'replace')
  }, [id, first])
  const begin = () => (may ? go({ screen: 'policy', part: 'backtests', id: 'new' }) : false)
  useKeys({
    j: () => select(stepFrom(rows, id, 1)),
    k: () => select(stepFrom(rows, id, -1)),
    arrowdown: () => select(stepFrom(rows, id, 1)),
    arrowup: () => select(stepFrom(rows, id, -1)),
    escape: () => list.current?.focus(),
    b: begin,
    n: () => go({ screen: 'policy', part: 'drafts', id: 'new' }),
  })
  const forbidden = state?.refused !== undefined && backtests.length === 0
  return (
    <Split>
      <section aria-label="Backtests" className="flex min-h-0 flex-col border-r border-line bg-panel">
        <Parts here="backtests" />
        <ListHead
          title="Backtests"
          count={forbidden ? '' : many(backtests.length, 'run')}
          loading={loading && backtests.length === 0}
        >
          {may ? (
            <button
              type="button"
              aria-label="New backtest"
              title="Run a draft over what was recorded"
              onClick={begin}
              className="ml-auto inline-flex size-6 shrink-0 items-center justify-center self-center rounded-tag text-dim hover:bg-sunken hover:text-ink"
            >
              <Plus size={15} aria-hidden />
            </button>
          ) : null}
        </ListHead>
        <Freshness part="backtests" nothing="None can be begun offline." />
        {rows.length > 0 ? (
          <Listbox
            ref={list}
            label="Backtests"
            rows={rows}
            selected={id}
            onSelect={select}
            render={({ backtest }, selected) => <BacktestRow backtest={backtest} selected={selected} />}
          />
        ) : loading ? (
          <Notice title="Reading the backtests…" role="status" />
        ) : (
          <Notice title={forbidden ? 'Not for your role' : 'No backtests yet'}>
            {forbidden ? null : <p>A backtest asks a draft about every command that was recorded.</p>}
            {may && !making ? <Button onClick={begin}>New backtest</Button> : null}
          </Notice>
        )}
      </section>
      {forbidden ? (
        <Refused state={state} what="Backtests" />
      ) : making ? (
        <NewBacktest key={id} draft={id === 'new' ? undefined : id?.slice(4)} />
      ) : id === undefined ? (
        <Notice title="Choose a backtest">
          <p>{may ? 'B begins a new one.' : 'Reviewers, auditors and admins run them.'}</p>
        </Notice>
      ) : (
        <BacktestPage key={id} id={id} />
      )}
    </Split>
  )
}

const none: readonly BacktestHead[] = []

function BacktestRow({ backtest, selected }: { backtest: BacktestHead; selected: boolean }) {
  const part = partOf(backtest)
  return (
    <div
      className={`flex h-full flex-col justify-center gap-0.5 border-l-2 px-4 ${selected ? 'border-accent bg-accent-pale' : 'border-transparent hover:bg-sunken'}`}
    >
      <div className="flex items-baseline gap-2">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{backtest.title || 'no title'}</VisibleText>
        </span>
        <time className="shrink-0 text-dim tabular-nums" dateTime={backtest.at}>
          {shortWhen(backtest.at, Date.now())}
        </time>
      </div>
      <div className="flex items-center gap-2 text-fine text-dim">
        <span className="min-w-0 flex-1 truncate">
          <VisibleText>{backtest.by.name}</VisibleText> · {figure(backtest.progress.commands)} commands
        </span>
        {backtest.state === 'running' && part !== undefined ? (
          <span className="text-accent tabular-nums">{Math.floor(part * 100)} %</span>
        ) : (
          <BacktestMark backtest={backtest} />
        )}
      </div>
    </div>
  )
}
