import type { Approval } from '@countersign/contract/approval'
import { useRef } from 'react'
import { useKeys } from '../../app/keys.ts'
import { go } from '../../app/route.ts'
import { say } from '../../app/store.ts'
import { CopyButton } from '../../parts/basics.tsx'
import { CommandText, ParameterValue } from '../../parts/command-text.tsx'
import { erasedCommand } from '../retention/words.ts'
import { DecisionBar } from './decision-bar.tsx'
import { Escalation, Facts } from './facts.tsx'
import { Environment, Input } from './input.tsx'
import { useMoreBelow } from './more-below.ts'
import { SessionSoFar, useSoFar } from './so-far.tsx'
import { protocolName, shortDigest } from './words.ts'

/** Everything a person needs to decide in ten seconds, the command first and whole. */
export function Card({ approval, onBack }: { approval: Approval; onBack: () => void }) {
  const soFar = useSoFar(approval)
  const place = useRef<HTMLElement>(null)
  useKeys({
    r: () => go({ screen: 'replay', id: approval.session }),
    c: () => {
      void navigator.clipboard.writeText(approval.command.text).then(() => say('Command copied'))
    },
    enter: () => place.current?.focus(),
  })
  return (
    <article
      ref={place}
      tabIndex={-1}
      aria-label={`Held command of ${approval.identity.name} on ${approval.connection}`}
      className="@container flex min-h-0 min-w-0 flex-col outline-none"
    >
      <div className="page-body overflow-y-auto px-7 pt-5 pb-4 max-lg:px-4">
        <Escalation approval={approval} />
        <Command approval={approval} />
        <Environment approval={approval} />
        <Input approval={approval} />
        <Facts approval={approval} soFar={soFar} />
        <SessionSoFar approval={approval} soFar={soFar} />
      </div>
      <DecisionBar approval={approval} onBack={onBack} />
    </article>
  )
}

function Command({ approval }: { approval: Approval }) {
  const { command, protocol, connection } = approval
  const lines = command.text.replace(/\n$/, '').split('\n').length
  const long = command.text.length > 400
  const scroller = useRef<HTMLPreElement>(null)
  const said = useMoreBelow(scroller)
  // What an SSH command reads from its input has a place of its own.
  const extra = protocol === 'ssh' ? [] : extraParameters(command.text, command.parameters.length, protocol)
  return (
    <section
      aria-label="Command"
      className="relative overflow-hidden rounded-box border border-line bg-panel shadow-box"
    >
      <pre
        ref={scroller}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a long command scrolls in here, also by keys
        tabIndex={0}
        className="max-h-[42vh] overflow-auto px-[18px] py-4 font-mono text-code break-words whitespace-pre-wrap outline-offset-[-2px]"
      >
        {command.text === '' ? (
          <i className="font-sans text-body text-dim">{erasedCommand}</i>
        ) : (
          <CommandText text={command.text} protocol={protocol} parameters={command.parameters} />
        )}
      </pre>
      {extra.length > 0 ? (
        <dl
          tabIndex={0}
          aria-label="Parameters"
          className="flex max-h-[18vh] flex-wrap gap-x-4 gap-y-1 overflow-y-auto -outline-offset-2 border-t border-line px-[18px] py-2 font-mono text-fine"
        >
          {extra.map((i) => (
            <div key={i} className="flex min-w-0 gap-1.5">
              <dt className="text-warn">${i + 1}</dt>
              <dd className="min-w-0 break-words whitespace-pre-wrap">
                <ParameterValue value={command.parameters[i]!} />
              </dd>
            </div>
          ))}
        </dl>
      ) : null}
      <div className="flex h-8 items-center gap-3 border-t border-line pr-3 pl-[18px] text-fine whitespace-nowrap text-dim">
        <span>
          whole command, {lines.toLocaleString('en-US')} line{lines === 1 ? '' : 's'}
          {long ? `, ${command.text.length.toLocaleString('en-US')} characters` : ''}
        </span>
        <span ref={said} hidden className="font-semibold text-warn">
          ↓ more below
        </span>
        <span className={`truncate ${long ? 'ml-auto' : ''}`} title={command.digest}>
          digest {shortDigest(command.digest)}
        </span>
        {long ? null : (
          <span className="ml-auto truncate @max-[620px]:hidden">
            {connection} · {protocolName(protocol)}
          </span>
        )}
        <span className="-ml-1 flex @max-[620px]:ml-auto">
          <CopyButton text={command.text} label="Copy the command" />
        </span>
      </div>
    </section>
  )
}

/** Parameters whose number doesn't stand in the text (or all of them, where the text isn't SQL). */
function extraParameters(text: string, count: number, protocol: string): number[] {
  const named = new Set(
    protocol === 'postgres' ? [...text.matchAll(/\$(\d+)/g)].map((found) => Number(found[1]) - 1) : [],
  )
  return Array.from({ length: count }, (_, i) => i).filter((i) => !named.has(i))
}
