import { memo, useState } from 'react'
import { type CommandStep, type HeldStep, isConnect, type Step } from '../../../recording-steps.ts'
import type { ChannelRow } from '../../../terminal-api.ts'
import { oneLine } from '../../../visible.ts'
import { useWorld } from '../../app/store.ts'
import { CommandText, ParameterValue } from '../../parts/command-text.tsx'
import { clock, duration, playhead } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { rowCount } from '../queue/words.ts'
import { isFileOperation, SshCommand } from './ssh-step.tsx'
import { HoldLine, Line, Policy, Verdict } from './step-verdict.tsx'

interface Props {
  step: Step
  current: boolean
  /** Not yet happened, while it plays: only its first line, and nothing of how it went. */
  future: boolean
  /** Milliseconds up to which it has happened; Infinity while reading. */
  until: number
  /** Whether whole seconds are too coarse for its time. */
  fine: boolean
  session: string
  connection: string
  protocol: string
  startedAt: number
  /** Shows what a channel said as a terminal would. */
  onOpen(channel: ChannelRow): void
}

/** One step of the transcript: command → verdict → result. */
export const StepView = memo(function StepView(props: Props) {
  const { step, current, future, until, fine, protocol, startedAt, onOpen } = props
  const dense = step.kind === 'command' && isFileOperation(step)
  const look = current ? 'border-accent bg-accent-pale' : 'border-transparent'
  return (
    <div
      className={`flex gap-3.5 border-l-2 pr-4 pl-2 ${dense ? 'py-0.5' : 'py-2'} ${look}`}
      aria-current={current ? 'step' : undefined}
    >
      <time
        className="min-w-12 shrink-0 pt-0.5 text-right text-fine text-dim tabular-nums"
        title={clock(startedAt + step.t, true)}
      >
        {playhead(step.t, fine)}
      </time>
      <div className="min-w-0 flex-1">
        {step.kind === 'note' ? (
          <p className="text-dim">
            <VisibleText>{step.text}</VisibleText>
          </p>
        ) : step.kind === 'end' ? (
          <p className={step.event.state === 'closed' ? 'text-dim' : 'font-semibold text-warn'}>
            session {step.event.state}
            {step.event.reason ? (
              <>
                {': '}
                <VisibleText>{step.event.reason}</VisibleText>
              </>
            ) : null}
          </p>
        ) : step.kind === 'held' ? (
          <Held step={step} until={until} protocol={protocol} />
        ) : step.kind === 'command' && isConnect(step) ? (
          <Connected step={step} />
        ) : future ? (
          <p data-command className="truncate font-mono text-dim">
            <VisibleText>{oneLine(step.event.text)}</VisibleText>
          </p>
        ) : protocol === 'ssh' ? (
          <SshCommand {...{ step, until, onOpen }} session={props.session} connection={props.connection} />
        ) : (
          <Command step={step} until={until} protocol={protocol} />
        )}
      </div>
    </div>
  )
})

/** The session's beginning: no command, but judged like one. */
function Connected({ step }: { step: CommandStep }) {
  const { verdict } = step.event
  if (verdict.outcome !== 'allow' && !verdict.observed)
    return (
      <>
        <p>asked to connect</p>
        <Verdict step={step} until={Number.POSITIVE_INFINITY} />
      </>
    )
  return (
    <p className="text-dim">
      signed in and connected
      {verdict.policies.length > 0 ? (
        <>
          {' · permitted by '}
          <Policy name={verdict.policies.join(', ')} />
        </>
      ) : null}
    </p>
  )
}

/** A held command that the recording doesn't tell yet; its card does, while this console has it. */
function Held({ step, until, protocol }: { step: HeldStep; until: number; protocol: string }) {
  const command = useWorld((world) => world.approvals.get(step.hold.approval)?.command)
  return (
    <>
      {command ? (
        <pre
          data-command
          className="max-h-60 overflow-auto font-mono leading-[1.375rem] break-words whitespace-pre-wrap"
        >
          <CommandText text={command.text} protocol={protocol} parameters={command.parameters} />
        </pre>
      ) : (
        <p>a command that never ran</p>
      )}
      <HoldLine hold={step.hold} by="" until={until} />
    </>
  )
}

function Command({ step, until, protocol }: { step: CommandStep; until: number; protocol: string }) {
  const { event, rows, result } = step
  return (
    <>
      <pre data-command className="max-h-60 overflow-auto font-mono leading-[1.375rem] break-words whitespace-pre-wrap">
        <CommandText text={event.text} protocol={protocol} parameters={event.parameters} />
      </pre>
      <Verdict step={step} until={until} />
      {rows && rows.t <= until ? <Rows rows={rows} total={result?.rows} /> : null}
      {result && result.t <= until ? (
        <Result step={step} />
      ) : step.hold || event.verdict.outcome === 'deny' ? null : (
        <p className="mt-0.5 text-fine text-dim">{result ? 'running…' : 'no result recorded'}</p>
      )}
    </>
  )
}

function Result({ step }: { step: CommandStep }) {
  const { result, rows, event } = step
  if (!result) return null
  if (result.status === 'refused') {
    // What was decided stands above; here only what the client was told beyond that.
    const known = event.verdict.outcome === 'deny' || (step.hold && step.hold.last.state !== 'pending')
    return (
      <Line ink="text-dim">
        refused; the client got {result.sqlstate ? <code className="text-fine">{result.sqlstate}</code> : 'an error'}
        {known || !result.message ? null : (
          <>
            {' '}
            <VisibleText>{result.message}</VisibleText>
          </>
        )}
      </Line>
    )
  }
  if (result.status === 'failed')
    return (
      <Line ink="text-warn">
        failed {result.sqlstate ? <code className="text-fine font-semibold">{result.sqlstate}</code> : null}{' '}
        <VisibleText>{result.message ?? ''}</VisibleText>
        <span className="text-dim"> · {duration(result.ms)}</span>
      </Line>
    )
  // A tag such as UPDATE 3 says again what the count says.
  const counts = /\d$/.test(result.tag ?? '')
  const counted = result.rows !== undefined && (counts || rows !== undefined || result.rows > 0)
  const tag = result.tag && !(counted && counts) ? result.tag : counted ? '' : 'done'
  return (
    <Line ink="text-dim">
      <span className="text-ok">✓</span> {tag ? <VisibleText>{tag}</VisibleText> : null}
      {tag && counted ? ' · ' : ''}
      {counted ? rowCount(result.rows!) : ''} · {duration(result.ms)}
    </Line>
  )
}

const FIRST_ROWS = 5
/** OIDs of numbers (pg_type): int8, int2, int4, oid, float4, float8, numeric. */
const NUMBERS = new Set([20, 21, 23, 26, 700, 701, 1700])

/** Result rows as the client got them: the first few, then as many as were kept; what wasn't kept is said. */
function Rows({ rows, total }: { rows: NonNullable<CommandStep['rows']>; total: number | undefined }) {
  const [all, setAll] = useState(false)
  const shown = all ? rows.rows : rows.rows.slice(0, FIRST_ROWS)
  const hidden = rows.rows.length - shown.length
  return (
    <div className="mt-1.5 mb-1">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields */}
      <div
        role="group"
        aria-label="Result rows"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide result scrolls in here, also by keys
        tabIndex={0}
        className="max-h-80 w-fit max-w-full overflow-auto rounded-tag border border-line bg-panel"
      >
        <table className="border-collapse font-mono text-fine">
          <thead className="sticky top-0 bg-sunken">
            <tr>
              {rows.columns.map((column, i) => (
                <th
                  // biome-ignore lint/suspicious/noArrayIndexKey: names of columns may repeat
                  key={i}
                  scope="col"
                  className={`px-2.5 py-0.5 font-medium text-dim ${NUMBERS.has(column.type) ? 'text-right' : 'text-left'}`}
                >
                  <VisibleText>{column.name}</VisibleText>
                  {column.masked?.map((mark) => (
                    <span key={`${mark.class} ${mark.detected}`} className="ml-1.5 font-sans font-normal">
                      <VisibleText>{`${mark.revealed ? 'revealed' : 'masked'}: ${mark.class}`}</VisibleText>
                    </span>
                  ))}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row, r) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity
              <tr key={r} className="border-t border-line">
                {row.map((value, c) => (
                  <td
                    // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its place
                    key={c}
                    className={`max-w-80 truncate px-2.5 py-0.5 whitespace-pre ${NUMBERS.has(rows.columns[c]?.type ?? 0) ? 'text-right' : ''} ${value === null ? 'text-dim' : ''}`}
                    title={typeof value === 'string' && value.length > 40 ? value : undefined}
                  >
                    <ParameterValue value={value} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="mt-0.5 flex gap-3 text-fine text-dim">
        {hidden > 0 ? (
          <button
            type="button"
            className="font-semibold whitespace-nowrap text-accent hover:underline"
            onClick={() => setAll(true)}
          >
            Show all {rows.rows.length.toLocaleString('en-US')}
          </button>
        ) : null}
        {rows.truncated ? (
          <span>
            {rows.rows.length.toLocaleString('en-US')}
            {total === undefined ? '' : ` of ${total.toLocaleString('en-US')}`} rows were kept; the rest were only
            counted
          </span>
        ) : null}
      </p>
    </div>
  )
}
