import type { AgentAccess } from '@countersign/contract/access'
import { type Ref, useImperativeHandle, useMemo, useRef, useState } from 'react'
import { useDuty } from '../../app/duty.ts'
import { hashOf } from '../../app/route.ts'
import { EnvironmentTag, foremostTag } from '../../parts/basics.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { actionWords } from '../access/words.ts'
import { type Cell, cellText, cellWords, type Look, type Matrix, matricesOf, tally } from './matrix.ts'

/** So many resources of a connection are shown before somebody asks for all. */
const SHOWN = 10

const looks: Record<Look, string> = {
  used: 'bg-ok-pale font-semibold text-ok',
  unused: 'bg-warn-pale text-warn',
  maybe: 'border border-dashed border-line-strong text-dim',
  denied: 'bg-danger-pale font-semibold text-danger',
  held: 'bg-accent-pale font-semibold text-accent',
  past: 'bg-sunken text-dim line-through',
  none: 'text-dim',
  rest: '',
}

export interface MatrixHandle {
  focus(): void
}

/** What it may beside what it did: the numbers are uses, what is permitted and was never used says so. */
export function PermittedAgainstUsed(props: {
  access: AgentAccess
  /** Whether a sentence with the sums stands above. */
  summed?: boolean
  ref?: Ref<MatrixHandle>
}) {
  const { access, summed = true, ref } = props
  const matrices = useMemo(() => matricesOf(access), [access])
  const all = useMemo(() => tally(matrices), [matrices])
  const first = useRef<MatrixHandle>(null)
  useImperativeHandle(ref, () => ({ focus: () => first.current?.focus() }), [])
  if (matrices.length === 0)
    return (
      <p className="rounded-box border border-line bg-panel px-4 py-2 text-dim">
        Policy permits it nothing, and it did nothing.
      </p>
    )
  return (
    <>
      {summed ? (
        <p className="mb-2 text-fine text-dim">
          Of {all.permitted.toLocaleString('en-US')} that policy may let it do, it did{' '}
          {all.used.toLocaleString('en-US')};{' '}
          <b className={all.unused > 0 ? 'font-semibold text-warn' : 'font-semibold'}>
            {all.unused.toLocaleString('en-US')} permitted and never used
          </b>
          {all.denied > 0 ? (
            <>
              ; <b className="font-semibold text-danger">{all.denied.toLocaleString('en-US')} tries denied</b>
            </>
          ) : null}
          .
        </p>
      ) : null}
      <div className="flex flex-col gap-4">
        {matrices.map((matrix, i) => (
          <OneMatrix key={matrix.connection} matrix={matrix} handle={i === 0 ? first : undefined} />
        ))}
      </div>
      {access.notes?.map((note) => (
        <p key={note} className="mt-2 text-fine text-dim">
          {note}
        </p>
      ))}
    </>
  )
}

function OneMatrix({ matrix, handle }: { matrix: Matrix; handle: Ref<MatrixHandle> | undefined }) {
  const { connection, actions, never } = matrix
  const place = useDuty(({ connections }) => connections.find(({ name }) => name === connection))
  const [whole, setWhole] = useState(false)
  const rows = whole || matrix.rows.length <= SHOWN + 2 ? matrix.rows : shortened(matrix)
  const [at, setAt] = useState<readonly [row: number, column: number]>([0, 0])
  const [looked, setLooked] = useState<Cell | undefined>(undefined)
  const grid = useRef<HTMLTableElement>(null)
  const cellAt = ([row, column]: readonly [number, number]) =>
    grid.current?.querySelector<HTMLElement>(`[data-cell="${row} ${column}"]`)
  useImperativeHandle(handle, () => ({ focus: () => cellAt(at)?.focus() }))
  const move = (row: number, column: number) => {
    const next = [
      Math.max(0, Math.min(rows.length - 1, row)),
      Math.max(0, Math.min(actions.length - 1, column)),
    ] as const
    setAt(next)
    cellAt(next)?.focus()
  }
  const tag = place && foremostTag(place.tags)
  return (
    <div>
      <h4 className="mb-1 flex items-center gap-2 font-semibold">
        {connection} {tag ? <EnvironmentTag tag={tag} brief /> : null}
        {place?.access === 'jit' ? <span className="text-fine font-normal text-dim">by grants only</span> : null}
      </h4>
      {actions.length === 0 ? (
        <p className="text-fine text-dim">Nothing, and it tried nothing.</p>
      ) : (
        <div className="overflow-x-auto">
          <table
            ref={grid}
            // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: a grid is a table whose cells take the focus
            role="grid"
            aria-label={`Permitted against used on ${connection}`}
            className="-mx-0.5 border-separate border-spacing-0.5 text-fine"
            onKeyDown={(event) => {
              const step = ({ ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] } as const)[
                event.key as 'ArrowDown'
              ]
              const [row, column] = at
              if (step) move(row + step[0], column + step[1])
              else if (event.key === 'Home') move(row, 0)
              else if (event.key === 'End') move(row, actions.length - 1)
              else return
              event.preventDefault()
            }}
          >
            <thead>
              <tr>
                <th scope="col" className="min-w-28">
                  <span className="sr-only">Resource</span>
                </th>
                {actions.map((action) => (
                  <th
                    key={action}
                    scope="col"
                    title={actionWords(action).says}
                    className="min-w-16 px-2 text-center font-semibold whitespace-nowrap text-dim"
                  >
                    {action}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row, i) => (
                <tr key={row.resource}>
                  <th
                    scope="row"
                    title={row.resource}
                    className={`max-w-72 truncate pr-3 text-left leading-6 font-normal text-dim max-lg:max-w-44 ${row.rest ? 'italic' : 'font-mono'}`}
                  >
                    {row.rest ? 'all the rest' : <VisibleText>{shortResource(row.resource, connection)}</VisibleText>}
                  </th>
                  {row.cells.map((cell, column) => (
                    // biome-ignore lint/a11y/useKeyWithClickEvents: arrows move in the grid
                    <td
                      key={cell.action}
                      tabIndex={at[0] === i && at[1] === column ? 0 : -1}
                      data-cell={`${i} ${column}`}
                      onFocus={() => {
                        setAt([i, column])
                        setLooked(cell)
                      }}
                      onClick={(event) => event.currentTarget.focus()}
                      onMouseEnter={() => setLooked(cell)}
                      className={`relative h-6 rounded-tag px-2 text-center whitespace-nowrap tabular-nums outline-offset-1 outline-accent focus-visible:outline-2 ${looks[cell.look]}`}
                    >
                      {cellText(cell)}
                      {cell.look === 'used' && cell.used && cell.used.denied > 0 ? (
                        <b className="ml-1 font-semibold text-danger">✕{cell.used.denied}</b>
                      ) : null}
                      <span className="sr-only">
                        {`: ${cell.action} on ${row.rest ? `the rest of ${connection}` : row.resource}: ${cellWords(cell, spoken)}`}
                      </span>
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rows.length < matrix.rows.length ? (
        <button type="button" className={`mt-1 text-fine ${linkLook}`} onClick={() => setWhole(true)}>
          Show all {matrix.rows.length.toLocaleString('en-US')} resources
        </button>
      ) : null}
      {/* As high as two lines: nothing jumps while one looks around. */}
      {actions.length > 0 ? (
        <p className="mt-1.5 min-h-9 text-fine text-dim" aria-hidden="true">
          {looked ? (
            <>
              <code>{looked.action}</code> on <code className="break-all">{looked.resource}</code>:{' '}
              {cellWords(looked, spoken)}{' '}
              {looked.permission?.grant ? (
                <a tabIndex={-1} className={linkLook} href={hashOf({ screen: 'access', id: looked.permission.grant })}>
                  See the grant
                </a>
              ) : null}
            </>
          ) : (
            <>
              A number: uses that were allowed. <b className="font-semibold text-warn">unused</b>: permitted, and never
              used. asks: held for people. depends: on the command itself.
            </>
          )}
        </p>
      ) : null}
      {never.length > 0 ? (
        <p className="text-fine text-dim">Denied throughout, and never tried: {never.join(', ')}.</p>
      ) : null}
    </div>
  )
}

const spoken = (at: string) => dateAndClock(at, Date.now())

/** Those used most, and the rest of the connection. */
function shortened({ rows }: Matrix) {
  return [...rows.filter(({ rest }) => !rest).slice(0, SHOWN), ...rows.filter(({ rest }) => rest)]
}

const shortResource = (resource: string, connection: string) =>
  resource.startsWith(`${connection}/`) ? resource.slice(connection.length + 1) : resource
