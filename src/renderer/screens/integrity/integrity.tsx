import { type DragEvent, useCallback, useEffect, useRef, useState } from 'react'
import type { SeenCheckpoint } from '../../../witness-api.ts'
import { wordsOf } from '../../app/api.ts'
import { useKeys } from '../../app/keys.ts'
import { go } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, Notice } from '../../parts/basics.tsx'
import { type ListboxHandle, stepFrom } from '../../parts/listbox.tsx'
import { AlarmPage } from './alarm-page.tsx'
import { CheckpointPage } from './checkpoint-page.tsx'
import { verifyFile } from './drop.ts'
import { checkpointKey, IntegrityList, type Row, useRows } from './integrity-list.tsx'
import { LogPage } from './log-page.tsx'
import { saveEvidence } from './save.ts'
import { VerdictPage } from './verdict-page.tsx'
import { verifySession } from './verify-session.ts'

/** What this desktop has witnessed of the gateway's log, and what it has verified. */
export function Integrity({ id }: { id: string | undefined }) {
  const selected = id ?? 'log'
  const { checkpoints, more } = useCheckpoints()
  const rows = useRows(checkpoints)
  const row = rows.find((one) => one.key === selected)
  const list = useRef<ListboxHandle>(null)
  const chooser = useRef<HTMLInputElement>(null)
  const [over, setOver] = useState(false)
  const [problem, setProblem] = useState('')
  const look = useLook(setProblem)
  const select = (key: string | undefined) => {
    if (key === undefined) return
    setProblem('')
    go({ screen: 'integrity', ...(key === 'log' ? {} : { id: key }) }, 'replace')
  }
  const take = (files: Iterable<File>) => {
    for (const file of files) verifyFile(file, (verdict) => select(`bundle:${verdict}`))
  }
  const again =
    row?.option && row.what === 'session' ? () => verifySession(row.verification.session, setProblem) : undefined
  const options = rows.filter((one) => one.option)
  useKeys({
    j: () => select(stepFrom(options, selected, 1)),
    k: () => select(stepFrom(options, selected, -1)),
    o: () => chooser.current?.click(),
    v: () => (again ? again() : look.start()),
    e: () => {
      if (!row?.option || row.what !== 'alarm') return false
      void saveEvidence(row.alarm.id).then(
        (where) => where !== undefined && say('The proof was written'),
        (error) => setProblem(wordsOf(error)),
      )
      return true
    },
    escape: () => {
      select('log')
      list.current?.focus()
    },
  })
  const drag = dropping(setOver, take)
  return (
    <div
      className="relative grid h-full grid-cols-[300px_minmax(0,1fr)] max-lg:grid-cols-[248px_minmax(0,1fr)]"
      {...drag}
    >
      <input
        ref={chooser}
        type="file"
        accept=".tar,application/x-tar"
        multiple
        hidden
        aria-label="Evidence bundles to verify"
        onChange={(event) => {
          take(event.target.files ?? [])
          event.target.value = ''
        }}
      />
      <IntegrityList ref={list} rows={rows} selected={selected} onSelect={select} onEnd={more} />
      <div className="flex min-h-0 min-w-0 flex-col">
        {problem ? (
          <p role="alert" className="border-b border-line bg-warn-pale px-7 py-2 text-warn">
            {problem}
          </p>
        ) : null}
        <div className="grid min-h-0 flex-1">
          <Detail
            selected={selected}
            row={row}
            again={again}
            onOpen={() => chooser.current?.click()}
            look={look}
            onBack={() => select('log')}
          />
        </div>
      </div>
      {over ? (
        <div className="pointer-events-none absolute inset-2 grid place-items-center rounded-box border-2 border-dashed border-accent bg-accent-pale/95 text-title font-semibold text-accent">
          Let go to verify it
        </div>
      ) : null}
    </div>
  )
}

function Detail(props: {
  selected: string
  row: Row | undefined
  again: (() => void) | undefined
  onOpen: () => void
  look: { busy: boolean; start: () => void }
  onBack: () => void
}) {
  const { selected, row } = props
  if (row?.option && row.what === 'alarm') return <AlarmPage key={row.key} alarm={row.alarm} />
  if (row?.option && row.what === 'checkpoint') return <CheckpointPage seen={row.seen} />
  if (row?.option && row.what === 'session') return <VerdictPage id={row.verification.verdict} again={props.again} />
  if (selected.startsWith('bundle:')) return <VerdictPage id={selected.slice('bundle:'.length)} />
  if (selected === 'log') return <LogPage onOpen={props.onOpen} checking={props.look.busy} onCheck={props.look.start} />
  return (
    <Notice title="This is not here any more">
      <p>An alarm or a checkpoint of another gateway, or one that was thinned out.</p>
      <Button onClick={props.onBack}>To the log</Button>
    </Notice>
  )
}

/** The newest checkpoints from the snapshot, and older ones as the list reaches them. */
function useCheckpoints(): { checkpoints: readonly SeenCheckpoint[]; more: () => void } {
  const newest = useWorld((world) => world.witness.checkpoints)
  const seen = useWorld((world) => world.witness.log?.seen ?? 0)
  const log = useWorld((world) => world.witness.log?.id)
  const [older, setOlder] = useState<readonly SeenCheckpoint[]>([])
  const asking = useRef(false)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another log has other checkpoints
  useEffect(() => setOlder([]), [log])
  const known = new Set(newest.map(checkpointKey))
  const checkpoints =
    older.length === 0 ? newest : [...newest, ...older.filter((one) => !known.has(checkpointKey(one)))]
  const count = checkpoints.length
  const more = useCallback(() => {
    if (asking.current || count === 0 || count >= seen) return
    asking.current = true
    core()
      .call('witnessedCheckpoints', { skip: count, limit: 200 })
      .then(
        (found) => setOlder((before) => [...before, ...found]),
        () => {},
      )
      .finally(() => {
        asking.current = false
      })
  }, [count, seen])
  return { checkpoints, more }
}

function useLook(fail: (problem: string) => void): { busy: boolean; start: () => void } {
  const [busy, setBusy] = useState(false)
  const start = () => {
    if (busy) return
    setBusy(true)
    core()
      .call('checkLog', {})
      .then(
        () => {
          fail('')
          say('The log was looked at')
        },
        (error) => fail(wordsOf(error)),
      )
      .finally(() => setBusy(false))
  }
  return { busy, start }
}

function dropping(setOver: (over: boolean) => void, take: (files: Iterable<File>) => void) {
  const carriesFiles = (event: DragEvent) => event.dataTransfer.types.includes('Files')
  return {
    onDragEnter: (event: DragEvent) => setOver(carriesFiles(event)),
    onDragOver(event: DragEvent) {
      if (!carriesFiles(event)) return
      event.preventDefault()
      event.dataTransfer.dropEffect = 'copy'
    },
    onDragLeave(event: DragEvent<HTMLElement>) {
      if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false)
    },
    onDrop(event: DragEvent) {
      setOver(false)
      if (!carriesFiles(event)) return
      event.preventDefault()
      take(event.dataTransfer.files)
    },
  }
}
